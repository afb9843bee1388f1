"""An archive with faults on demand: storage and storage commitment by pynetdicom, so by other code than the node's."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.ae import ApplicationEntity

from node.dicom.services.commitment import STORAGE_COMMITMENT
from node.simulator.server import Server

TITLE = "ARCHIVE"


@dataclass
class Archive:
    """What came, and what the next ones get.

    Attributes
    ----------
    statuses
        Statuses of the next objects instead of 0000; ``comment`` goes with them.
    aborts
        How many associations are aborted in the middle of the next object.
    asked
        Requests for commitment: transaction UID and SOP Instance UIDs.
    action_status, action_statuses
        Their status; and those of the next ones instead.
    reports
        Whether they are answered on their own association at once, or after so many requests.
    lost
        SOP Instance UIDs that are not committed, with Failure Reason 0110.
    """

    port: int = 0
    statuses: deque[int] = field(default_factory=deque)
    comment: str = ""
    aborts: int = 0
    stored: list[str] = field(default_factory=list)
    tries: int = 0
    associations: int = 0
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    action_status: int = 0x0000
    action_statuses: deque[int] = field(default_factory=deque)
    reports: bool | int = False
    lost: set[str] = field(default_factory=set)
    _unreported: list[tuple[Any, Dataset, int]] = field(default_factory=list)

    def store(self, event: Any) -> int | Dataset:
        """Answer C-STORE."""
        self.tries += 1
        if self.aborts:
            self.aborts -= 1
            event.assoc.abort()
            return 0xC000
        if self.statuses:
            answer = Dataset()
            answer.Status, answer.ErrorComment = self.statuses.popleft(), self.comment
            return answer
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    def action(self, event: Any) -> tuple[int, None]:
        """Answer N-ACTION, and report a moment later if that is wanted here."""
        ds = event.action_information
        uids = [str(item.ReferencedSOPInstanceUID) for item in ds.ReferencedSOPSequence]
        self.asked.append((str(ds.TransactionUID), uids))
        status = self.action_statuses.popleft() if self.action_statuses else self.action_status
        if self.reports and status == 0:
            self._unreported.append((event.assoc, ds, len(self.asked)))
            if len(self._unreported) >= self.reports:
                threading.Timer(0.1, self._report, (self._unreported,)).start()
                self._unreported = []
        return status, None

    def _report(self, requests: list[tuple[Any, Dataset, int]]) -> None:
        for assoc, ds, number in requests:
            kind, report = self.report(ds)
            assoc.send_n_event_report(report, kind, STORAGE_COMMITMENT, "1.2.840.10008.1.20.1.1", number)

    def report(self, ds: Dataset) -> tuple[int, Dataset]:
        """Return event type and report to a request."""
        report = Dataset()
        report.TransactionUID = ds.TransactionUID
        items = list(ds.ReferencedSOPSequence)
        report.ReferencedSOPSequence = [item for item in items if item.ReferencedSOPInstanceUID not in self.lost]
        failed = [item for item in items if item.ReferencedSOPInstanceUID in self.lost]
        for item in failed:
            item.FailureReason = 0x0110
        if failed:
            report.FailedSOPSequence = failed
        return (2 if failed else 1), report

    def requested(self, _event: Any) -> None:
        """Count associations."""
        self.associations += 1


@contextmanager
def running(archive: Archive) -> Iterator[Archive]:
    """Run it; its port stays the same when it is run again."""
    ae = ApplicationEntity(TITLE)
    ae.maximum_associations = 16
    for cx in AllStoragePresentationContexts:
        ae.add_supported_context(str(cx.abstract_syntax), ALL_TRANSFER_SYNTAXES)
    ae.add_supported_context(STORAGE_COMMITMENT)
    handlers: list[Any] = [
        (evt.EVT_C_STORE, archive.store),
        (evt.EVT_N_ACTION, archive.action),
        (evt.EVT_REQUESTED, archive.requested),
    ]
    server = Server(ae, ("127.0.0.1", archive.port), TITLE, list(ae.supported_contexts), evt_handlers=handlers)
    archive.port = int(server.server_address[1])
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield archive
    finally:
        server.close()
        for assoc in server.active_associations:
            assoc.abort()
