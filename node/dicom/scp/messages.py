"""The messages of one association: PDVs in, C-STOREs and other requests out (PS3.7 section 6.3, PS3.8 annex E).

A message is a C-STORE, whose data set goes to an :class:`Arrival`, or another request, which goes to
:data:`~node.dicom.services.SERVICES`, or the answer to a report of the node's own.
"""

from __future__ import annotations

from node.dicom import access
from node.dicom.part10 import Command
from node.dicom.scp import dimse
from node.dicom.scp.arrival import Arrival
from node.dicom.scp.dimse import CommandSet
from node.dicom.scp.requests import UNRECOGNISED_OPERATION, Requests
from node.dicom.scp.session import Session
from node.dicom.scp.wire import INVALID_PARAMETER, PDV_HEAD, UNEXPECTED, ProtocolError, Wire
from node.dicom.services import abstract_syntaxes
from node.dicom.services.base import NOT_AUTHORISED
from node.errors import OverreadError

DATASET_BYTES = 4 << 20
"""Longest attribute list of a service that is not storage: storage commitment for some 40,000 instances. It is decoded
as a whole, and as empty items each megabyte costs three seconds and a hundred megabytes of memory."""
INVALID_INSTANCE, MISTYPED = 0x0117, 0x0212
"""Answers to a C-STORE without SOP Instance UID, or without something else it must have (PS3.7 section 9.1.1.1.9)."""
CROWD = 1
"""Connections of this process beyond which its time is better spent on another association than on another thread."""
PDV_COMMAND, PDV_LAST = 1, 2
"""Bits of a PDV's message control header (PS3.8 annex E.2)."""


class NotAuthorised(OverreadError):
    """The peer may not do that."""

    dicom_status = NOT_AUTHORISED


class NoStorage(OverreadError):
    """The presentation context is for another service."""

    dicom_status = UNRECOGNISED_OPERATION


class Messages:
    """Serves one association's messages in the order in which they come."""

    def __init__(self, wire: Wire, session: Session) -> None:
        self._wire, self._session = wire, session
        self._command = bytearray()
        self._dataset = bytearray()
        self._message: CommandSet | None = None
        self._context = 0
        self._storing = False
        settings = session.port.settings
        self._arrival = Arrival(
            session.port.intake,
            session.name,
            settings.max_instance_bytes,
            settings.min_bytes_per_second,
            lambda: session.port.connections() > CROWD,
        )
        self._requests = Requests(wire, session)

    @property
    def patience(self) -> float | None:
        """How long to wait for the next PDU; None: the idle limit. A message must go on even where idleness may."""
        settings = self._session.port.settings
        return settings.read_seconds if self._message is not None and not settings.idle_seconds else None

    def settle(self) -> None:
        """Wait until everything that was answered for can be seen by others."""
        self._arrival.settle()

    def close(self) -> None:
        """Forget what is unfinished: the association is over."""
        self._arrival.close()
        self._requests.abandon()

    def data(self, length: int) -> None:
        """Read a P-DATA-TF PDU: presentation data values, each a fragment of a command or of a data set."""
        if length > self._session.port.settings.max_pdu_bytes:
            raise ProtocolError("a PDU is longer than was agreed")
        if not length:
            raise ProtocolError("a PDU holds no presentation data value")  # PS3.8 section 9.3.5.1
        while length:
            if length < PDV_HEAD.size:
                raise ProtocolError("a presentation data value is cut off")
            size, context, flags = PDV_HEAD.unpack(self._wire.read(PDV_HEAD.size))
            if size < 2 or size + 4 > length:
                raise ProtocolError("a presentation data value has a wrong length")
            length -= size + 4
            if flags & PDV_COMMAND:
                self._command_fragment(context, size - 2, bool(flags & PDV_LAST))
            else:
                self._dataset_fragment(context, size - 2, bool(flags & PDV_LAST))

    def _command_fragment(self, context: int, count: int, last: bool) -> None:
        if self._message is not None or (self._command and context != self._context):
            raise ProtocolError("a command came within a message", UNEXPECTED)
        if context not in self._session.contexts:
            raise ProtocolError("a message came in a presentation context that was not accepted", INVALID_PARAMETER)
        if len(self._command) + count > dimse.COMMAND_BYTES:
            raise ProtocolError("a command set is too long")
        self._context = context
        self._command += self._wire.read(count)
        if last:
            message = CommandSet(self._command)
            self._command.clear()
            self._begin(message)

    def _begin(self, message: CommandSet) -> None:
        self._message = message
        self._storing = message.number(dimse.COMMAND_FIELD) == dimse.C_STORE_RQ
        if self._storing:
            self._begin_store(message)
        if not message.has_dataset:
            self._end_message()

    def _begin_store(self, message: CommandSet) -> None:
        command = Command(
            sop_class=message.text(dimse.AFFECTED_CLASS),
            sop_instance=message.text(dimse.AFFECTED_INSTANCE),
            transfer_syntax=self._session.contexts[self._context].transfer_syntax,
            calling_ae_title=self._session.proposal.calling_ae_title,
            called_ae_title=self._session.proposal.called_ae_title,
        )
        self._arrival.begin(command, self._refusal(command))

    def _refusal(self, command: Command) -> OverreadError | None:
        """Return why an object is not even looked at."""
        if not access.may_store(self._session.port.settings, command.calling_ae_title, self._session.address):
            return NotAuthorised("the peer may not send objects")
        if self._session.contexts[self._context].abstract_syntax in abstract_syntaxes():
            return NoStorage("the presentation context is not one of storage")
        return None

    def _dataset_fragment(self, context: int, count: int, last: bool) -> None:
        if self._message is None or context != self._context:
            raise ProtocolError("a data set came without its command", UNEXPECTED)
        if self._storing:
            self._arrival.read(self._wire, count)
        elif len(self._dataset) + count > DATASET_BYTES:
            raise ProtocolError("an attribute list is too long")
        else:
            self._dataset += self._wire.read(count)
        if last:
            self._end_message()

    def _end_message(self) -> None:
        message, self._message = self._message, None
        if message is None:
            raise ProtocolError("a data set came without its command", UNEXPECTED)
        if self._storing:
            self._end_store(message)
            return
        data, self._dataset = self._dataset, bytearray()
        field = message.number(dimse.COMMAND_FIELD)
        if field is None:
            raise ProtocolError("a command has no Command Field")
        self._arrival.settle()  # a service may look for what was just stored
        self._requests.serve(self._context, message, field, data)

    def _end_store(self, message: CommandSet) -> None:
        """Answer a C-STORE: 0000, A700, A900, Cxxx (PS3.4 table B.2-1), 0124 and those of PS3.7."""
        if not message.has(dimse.AFFECTED_INSTANCE) or not message.has(dimse.AFFECTED_CLASS) or not message.has_dataset:
            self._arrival.abandon()
            status = MISTYPED if message.has(dimse.AFFECTED_INSTANCE) else INVALID_INSTANCE
            title = self._session.proposal.calling_ae_title
            status, comment = self._session.port.intake.refuse(
                self._session.name, title, status, "the C-STORE command is not whole"
            )
            self._wire.send(dimse.store_answer(self._context, message, status, comment))
            return
        context = self._context
        self._arrival.finish(self._wire, lambda *said: dimse.store_answer(context, message, *said))
