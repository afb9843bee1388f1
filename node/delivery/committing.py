"""Asking archives for storage commitment (PS3.4 annex J): that they keep what they accepted.

One loop for each destination with ``commitment = true``, beside the one that sends, so that neither waits for the
other. What it has to do stands in the records: an archive that does not answer is asked again, also after a restart.
"""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from pynetdicom import build_context, evt
from pynetdicom.association import Association
from pynetdicom.status import code_to_category

from node import logs
from node.delivery.dicom import remote
from node.delivery.retrying import retries
from node.dicom.requestor import associated
from node.dicom.services import commitment_report
from node.dicom.services.base import PROCESSING_FAILURE
from node.dicom.services.commitment import REQUEST_COMMITMENT, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE, request
from node.errors import DeliveryError, OverreadError
from node.records import commitment_requests
from node.records.engine import Records
from node.records.schema import now
from node.settings import Destination, Settings

BATCH = 1000
"""Objects asked about before the records are looked at again."""
LINGER_SECONDS = 3.0
"""How long an association stays open for reports: archives that check at once may use it, others call back."""
MAX_DOUBLINGS = 5


class Committer:
    """Asks one destination. :meth:`work` blocks; the gateway calls it from a thread."""

    def __init__(self, destination: Destination, settings: Settings, records: Records) -> None:
        self.destination = destination
        self._settings = settings
        self._records = records
        self._log = logs.get("gateway").bind(destination=destination.name)

    def work(self) -> int:
        """Ask about what is due; returns about how many objects."""
        with self._records.read() as session:
            rows = commitment_requests.due(session, self.destination.name, BATCH)
        days = dt.timedelta(days=self._settings.delivery.give_up_days)
        overdue = [row for row in rows if now() - row.accepted_at >= days]
        if overdue:
            with self._records.write() as session:
                commitment_requests.unanswered(session, [row.id for row in overdue])
        open_ = [row for row in rows if row not in overdue]
        if open_:
            self._ask([list(group) for _, group in groupby(open_, key=lambda row: row.study_uid)])
        return len(rows)

    def _ask(self, studies: Sequence[Sequence[Any]]) -> None:
        """Ask about studies, one request each, on one association."""
        named = {f"2.25.{uuid.uuid4().int}": rows for rows in studies}
        with self._records.write() as session:  # before it is sent: a report must find its transaction
            for transaction, rows in named.items():
                by = self._answer_by(rows)
                commitment_requests.ask(session, self.destination.name, transaction, [row.id for row in rows], by)
        asked: set[str] = set()
        refused: dict[str, str] = {}
        reason = "the association was lost"
        try:
            with self._association() as (assoc, reported):
                for transaction, rows in named.items():
                    if not assoc.is_established:
                        break
                    if said := self._request(assoc, transaction, rows):
                        refused[transaction] = said  # of this study; those behind it are asked about all the same
                        continue
                    asked.add(transaction)
                    with self._records.write() as session:
                        commitment_requests.asked(session, transaction)
                self._linger(assoc, asked, reported)
        except OverreadError as exc:
            reason = str(exc)
        reasons = {transaction: refused.get(transaction, reason) for transaction in named if transaction not in asked}
        self._settle(named, asked, reasons)

    def _answer_by(self, rows: Sequence[Any]) -> dt.datetime:
        """Return when to ask again if no answer comes: archives that write to tapes take hours."""
        times = min(max(row.commit_asked for row in rows), MAX_DOUBLINGS)
        return now() + dt.timedelta(seconds=self._settings.delivery.retry_max_seconds * 2.0**times)

    @contextmanager
    def _association(self) -> Iterator[tuple[Association, set[str]]]:
        """Open an association; gives it, and the transactions that are reported on it."""
        reported: set[str] = set()

        def report(event: Any) -> tuple[int, None]:
            try:
                ds = event.event_information
                commitment_report.record(self._records, self._settings.delivery, event.event_type, ds)
                reported.add(str(ds.TransactionUID))
            except OverreadError as exc:
                return exc.dicom_status, None
            except Exception as exc:  # whatever pydicom or the records stumble over
                self._log.error("commitment.report_failed", error=exc)
                return PROCESSING_FAILURE, None
            return 0x0000, None

        to = remote(self.destination, self._settings)
        where = (to.host, to.port, to.called, to.calling, to.timeout)
        with associated([build_context(STORAGE_COMMITMENT)], *where, tls=to.tls) as assoc:
            assoc.bind(evt.EVT_N_EVENT_REPORT, report)
            yield assoc, reported

    def _request(self, assoc: Association, transaction: str, rows: Sequence[Any]) -> str:
        """Send one request; returns why the archive does not take it, empty where it does.

        Raises
        ------
        DeliveryError
            If it does not answer.
        """
        ds = request(transaction, [(row.sop_class, row.uid) for row in rows])
        try:
            answer, _ = assoc.send_n_action(ds, REQUEST_COMMITMENT, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE)
        except (RuntimeError, ValueError) as exc:
            raise DeliveryError(f"the request could not be sent ({type(exc).__name__})") from exc
        status = getattr(answer, "Status", None)
        if status is None:
            raise DeliveryError("no answer to the request")
        taken = code_to_category(status) in ("Success", "Warning")
        return "" if taken else f"the request was answered with 0x{status:04X}"

    def _linger(self, assoc: Association, asked: set[str], reported: set[str]) -> None:
        deadline = time.monotonic() + LINGER_SECONDS
        while assoc.is_established and not asked <= reported and time.monotonic() < deadline:
            time.sleep(0.02)

    def _settle(self, named: dict[str, Sequence[Any]], asked: set[str], reasons: dict[str, str]) -> None:
        """Record when what could not be asked is tried again."""
        again = retries(self._settings.delivery)
        with self._records.write() as session:
            for transaction, reason in reasons.items():
                rows = named[transaction]
                at = again(max(row.commit_asked for row in rows) + 1, min(row.accepted_at for row in rows))
                commitment_requests.not_asked(session, transaction, reason, at or now())
        if asked:
            self._log.info("commitment.asked", count=len(asked))
        if reasons:
            self._log.warning("commitment.not_asked", count=len(reasons))
