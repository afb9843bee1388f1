"""Telling requesters of storage commitment what became of it: N-EVENT-REPORT on a new association (PS3.4 J.3.3).

One loop for each peer that can be called, as with destinations: they know nothing of each other. What they have to do
stands in the records, so a restart forgets nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby

from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.status import code_to_category

from node import logs
from node.delivery.backoff import next_try
from node.dicom.requestor import associated
from node.dicom.scp.tls import client_context
from node.dicom.services.commitment import STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE, event, judge
from node.errors import DeliveryError
from node.records import commitments
from node.records.commitments import Failure, Reference
from node.records.engine import Records
from node.records.schema import Commitment, now
from node.settings import Peer, Settings
from node.storage import Spool

BATCH = 20
"""Reports sent before the records are asked again."""
LOOKING_SECONDS = 3.0
"""How long to look at instances before those that were looked at are reported; the rest is due still."""
PERMANENT = frozenset({0x0112, 0x0113, 0x0114, 0x0115, 0x0117, 0x0118, 0x0119, 0x0122, 0x0124, 0x0211, 0x0212})
"""Answers that the same report gets again (PS3.7 10.1.1.1.8): the requester does not know or want it."""


@dataclass(frozen=True, slots=True)
class Loop:
    """One loop of the gateway: ``work`` blocks, and returns how much it found to do."""

    name: str
    work: Callable[[], int]


def loops(settings: Settings, records: Records, spool: Spool) -> list[Loop]:
    """Return what the gateway runs: a loop for each peer that can be called, and one for whom it cannot call."""
    peers = {peer.ae_title: peer for peer in reversed(settings.dicom.peers) if peer.host and peer.port}

    def abandon() -> int:
        with records.read() as session:
            if not commitments.orphans(session, peers, 1):
                return 0
        with records.write() as session:
            return commitments.abandon(session, peers)

    return [
        *(Loop(f"commitment {title}", Reporter(peer, settings, records, spool).work) for title, peer in peers.items()),
        Loop("commitment", abandon),
    ]


class Reporter:
    """Tells one peer what it asked for. :meth:`work` blocks; the gateway calls it from a thread."""

    def __init__(self, peer: Peer, settings: Settings, records: Records, spool: Spool) -> None:
        self.peer = peer
        self._settings = settings
        self._records = records
        self._spool = spool
        self._log = logs.get("gateway").bind(ae_title=peer.ae_title)

    def work(self) -> int:
        """Report what is due; returns how many reports were tried."""
        with self._records.read() as session:
            rows = commitments.due(session, self.peer.ae_title, BATCH)
        findings: dict[int, list[Failure]] = {}
        patience = time.monotonic() + LOOKING_SECONDS
        for row in rows:
            findings[row.id] = self._judge(row)
            if time.monotonic() > patience:
                break
        rows = rows[: len(findings)]
        for called, group in groupby(sorted(rows, key=_called), key=_called):
            self._report(list(group), findings, called or self._settings.dicom.ae_title)
        return len(rows)

    def _judge(self, row: Commitment) -> list[Failure]:
        """Look at the instances; after a report that was not taken, once more at those that were not safe."""
        open_ = row.references if row.failures is None else [failure[:2] for failure in row.failures]
        failures = judge(self._spool, [_reference(item) for item in open_])
        if row.failures is None or len(failures) != len(row.failures):
            with self._records.write() as session:
                commitments.judged(session, row.id, failures)
        return failures

    def _report(self, rows: Sequence[Commitment], findings: dict[int, list[Failure]], calling: str) -> None:
        """Send reports over one association, under the title that the requester called the node by."""
        try:
            with self._association(calling) as assoc:
                for number, row in enumerate(rows):
                    if number and not assoc.is_established:
                        return  # what is left is due still
                    self._record(row, _send(assoc, row, findings[row.id], number + 1))
        except DeliveryError as exc:
            for row in rows:
                self._record(row, exc)

    def _association(self, calling: str) -> AbstractContextManager[Association]:
        """Ask for an association on which the node is the provider.

        A requester that leaves the role selection unanswered takes the report all the same: who accepts the SOP class
        on an association that it did not ask for can only have that in mind.
        """
        peer, dicom = self.peer, self._settings.dicom
        return associated(
            [build_context(STORAGE_COMMITMENT)],
            peer.host,
            peer.port,
            peer.ae_title,
            calling,
            self._settings.delivery.timeout_seconds,
            tls=client_context(dicom.tls) if peer.tls else None,
            provider_of=STORAGE_COMMITMENT,
        )

    def _record(self, row: Commitment, outcome: DeliveryError | None) -> None:
        with self._records.write() as session:
            if outcome is None:
                commitments.reported(session, row.id)
                self._log.info("commitment.reported", count=len(row.references))
                return
            again = None
            if outcome.retryable:
                policy, chance = self._settings.delivery, random.random()  # noqa: S311
                again = next_try(row.attempts + 1, row.created_at, now(), policy, chance)
            commitments.refused(session, row.id, str(outcome), again)
        self._log.warning("commitment.refused", status=outcome.status, attempt=row.attempts + 1)


def _send(assoc: Association, row: Commitment, failures: Sequence[Failure], number: int) -> DeliveryError | None:
    """Send one report; returns what is wrong, or None once the requester confirmed it."""
    event_type, ds = event(row.transaction_uid, [_reference(item) for item in row.references], failures)
    try:
        answer, _ = assoc.send_n_event_report(ds, event_type, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE, number)
    except (RuntimeError, ValueError) as exc:
        return DeliveryError(f"the report could not be sent ({type(exc).__name__})", status="not sent")
    status = getattr(answer, "Status", None)
    if status is None:
        return DeliveryError("no answer to the report", status="no answer")
    if code_to_category(status) in ("Success", "Warning"):
        return None
    word = f"0x{status:04X}"
    return DeliveryError(f"the report was answered with {word}", status=word, retryable=status not in PERMANENT)


def _called(row: Commitment) -> str:
    return row.called_ae_title


def _reference(item: Sequence[str]) -> Reference:
    return item[0], item[1]
