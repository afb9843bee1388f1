"""Requests that are not C-STORE, through :data:`~node.dicom.services.SERVICES`, and the node's own reports."""

from __future__ import annotations

import itertools

from pydicom.dataset import Dataset

from node import logs
from node.dicom.scp import dimse
from node.dicom.scp.dimse import CommandSet
from node.dicom.scp.session import Session
from node.dicom.scp.wire import Wire
from node.dicom.services import SERVICES
from node.dicom.services.base import PROCESSING_FAILURE, Answer, Caller, Handler, Report, Request

C_CANCEL_RQ = 0x0FFF
"""The one request without an answer (PS3.7 section 9.3.2.3)."""
UNRECOGNISED_OPERATION = 0x0211
"""The presentation context has no service for the request (PS3.7 annex C)."""


class Requests:
    """Serves one association's requests, and sends the reports that follow from them."""

    def __init__(self, wire: Wire, session: Session) -> None:
        self._wire, self._session = wire, session
        self._reports: dict[int, Report] = {}
        self._numbers = itertools.cycle(range(1, 1 << 16))
        self._log = logs.get("receiver")

    def abandon(self) -> None:
        """Say of reports that were not answered that they were not delivered."""
        while self._reports:
            self._delivered(self._reports.popitem()[1], False)

    def serve(self, context_id: int, message: CommandSet, field: int, data: bytearray) -> None:
        """Serve a request, or take the answer to a report, that came in a presentation context."""
        if field & dimse.RESPONSE:
            self._answered(message)
            return
        context = self._session.contexts[context_id]
        handler = SERVICES.get((context.abstract_syntax, field))
        if field == C_CANCEL_RQ:
            return
        if handler is None:
            self._answer(context_id, message, field, Answer(UNRECOGNISED_OPERATION))
            return
        answer = self._handle(handler, context.transfer_syntax, message, field, data)
        self._answer(context_id, message, field, answer)
        if answer.report is not None:
            self._send_report(context_id, answer.report)

    def _handle(self, handler: Handler, syntax: str, message: CommandSet, field: int, data: bytearray) -> Answer:
        try:
            dataset = dimse.decode_dataset(data, syntax) if message.has_dataset else None
        except Exception as exc:  # whatever pydicom stumbles over
            self._log.warning("an attribute list cannot be read", association=self._session.name, error=exc)
            return Answer(PROCESSING_FAILURE, "the attribute list cannot be read")
        try:
            return handler(self._session.port.resources(), self._request(message, field, dataset))
        except Exception as exc:  # a service's fault must not end the association
            self._log.error("a service failed", association=self._session.name, error=exc)
            return Answer(PROCESSING_FAILURE, "internal error")

    def _request(self, message: CommandSet, field: int, dataset: Dataset | None) -> Request:
        proposal = self._session.proposal
        return Request(
            command=field,
            sop_class=message.text(dimse.AFFECTED_CLASS) or message.text(dimse.REQUESTED_CLASS),
            sop_instance=message.text(dimse.AFFECTED_INSTANCE) or message.text(dimse.REQUESTED_INSTANCE),
            caller=Caller(proposal.calling_ae_title, proposal.called_ae_title, self._session.address),
            number=message.number(dimse.ACTION_TYPE) or message.number(dimse.EVENT_TYPE) or 0,
            dataset=dataset,
        )

    def _answer(self, context_id: int, message: CommandSet, field: int, answer: Answer) -> None:
        command = Dataset()
        if sop_class := message.text(dimse.AFFECTED_CLASS) or message.text(dimse.REQUESTED_CLASS):
            command.AffectedSOPClassUID = sop_class
        command.CommandField = field | dimse.RESPONSE
        command.MessageIDBeingRespondedTo = message.number(dimse.MESSAGE_ID) or 0
        command.Status = answer.status
        if answer.comment:
            command.ErrorComment = answer.comment[: dimse.COMMENT_WIDTH]
        if answer.error_id is not None:
            command.ErrorID = answer.error_id
        instance = answer.sop_instance or message.text(dimse.AFFECTED_INSTANCE)
        if instance := instance or message.text(dimse.REQUESTED_INSTANCE):
            command.AffectedSOPInstanceUID = instance
        if (action := message.number(dimse.ACTION_TYPE)) is not None:
            command.ActionTypeID = action
        if (event := message.number(dimse.EVENT_TYPE)) is not None:
            command.EventTypeID = event
        self._send(context_id, command, answer.dataset)

    def _send_report(self, context: int, report: Report) -> None:
        try:
            event, dataset = report.dataset()
        except Exception as exc:  # the association has other work; the report is tried again later
            self._log.error("a report could not be made", association=self._session.name, error=exc)
            self._delivered(report, False)
            return
        number = next(self._numbers)
        command = Dataset()
        command.AffectedSOPClassUID = report.sop_class
        command.CommandField = dimse.N_EVENT_REPORT_RQ
        command.MessageID = number
        command.AffectedSOPInstanceUID = report.sop_instance
        command.EventTypeID = event
        self._reports[number] = report
        self._send(context, command, dataset)

    def _send(self, context: int, command: Dataset, dataset: Dataset | None) -> None:
        syntax = self._session.contexts[context].transfer_syntax
        data = None if dataset is None else dimse.encode_dataset(dataset, syntax)
        self._wire.send(dimse.message(context, command, data, self._session.proposal.max_pdu))

    def _answered(self, message: CommandSet) -> None:
        """Take the peer's answer to a report."""
        report = self._reports.pop(message.number(dimse.RESPONDED_TO) or 0, None)
        if report is not None:
            self._delivered(report, message.number(dimse.STATUS) == 0)

    def _delivered(self, report: Report, done: bool) -> None:
        try:
            report.delivered(done)
        except Exception as exc:
            self._log.error("a report's outcome is lost", association=self._session.name, error=exc)
