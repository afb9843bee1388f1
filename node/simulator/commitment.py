"""A requester of storage commitment (PS3.4 annex J): a modality that deletes images once they are safe."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import build_context, evt
from pynetdicom.ae import ApplicationEntity

from node.dicom.requestor import associated
from node.dicom.services.commitment import REQUEST_COMMITMENT, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE
from node.records.commitments import Failure, Reference
from node.simulator.modality import AE_TITLE


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """One N-EVENT-REPORT that came in."""

    transaction_uid: str
    event_type: int
    committed: tuple[Reference, ...]
    failed: tuple[Failure, ...]
    calling_ae_title: str = ""


@dataclass
class Inbox:
    """Reports that came in, on whatever association, and the statuses that the next ones are answered with."""

    answers: deque[int] = field(default_factory=deque)
    reports: list[CommitmentReport] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, event: Any) -> tuple[int, None]:
        """Answer an N-EVENT-REPORT (pynetdicom's ``EVT_N_EVENT_REPORT``): what ``answers`` says next, else 0000."""
        ds = event.event_information
        committed = tuple(_references(ds.get("ReferencedSOPSequence") or ()))
        failed = ds.get("FailedSOPSequence") or ()
        reasons = [int(item.FailureReason) for item in failed]
        failures = tuple((*pair, reason) for pair, reason in zip(_references(failed), reasons, strict=True))
        calling = event.assoc.requestor.ae_title.strip()
        report = CommitmentReport(str(ds.TransactionUID), event.event_type, committed, failures, calling)
        with self._changed:
            self.reports.append(report)
            self._changed.notify_all()
            return (self.answers.popleft() if self.answers else 0x0000), None

    def wait_for(self, count: int, seconds: float) -> bool:
        """Wait until ``count`` reports came; False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.reports) >= count, seconds)


@contextmanager
def listening(
    inbox: Inbox, ae_title: str = AE_TITLE, host: str = "127.0.0.1", port: int = 0, *, role: bool = True
) -> Iterator[int]:
    """Take reports on new associations, and give the port.

    Parameters
    ----------
    role
        Whether role selection is answered (PS3.7 D.3.3.4); many modalities do not.
    """
    ae = ApplicationEntity(ae_title)
    answered = True if role else None
    ae.add_supported_context(STORAGE_COMMITMENT, scu_role=answered, scp_role=answered)
    handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, inbox.take)]
    server: Any = ae.start_server((host, port), block=False, evt_handlers=handlers)
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()


@contextmanager
def requesting(
    inbox: Inbox, host: str, port: int, called_ae: str, calling_ae: str = AE_TITLE, timeout: float = 30.0
) -> Iterator[Requester]:
    """Open an association for requests; reports that come on it go to the inbox too.

    Raises
    ------
    DeliveryError
        If none comes about.
    """
    contexts = [build_context(STORAGE_COMMITMENT)]
    with associated(contexts, host, port, called_ae, calling_ae, timeout) as assoc:
        assoc.bind(evt.EVT_N_EVENT_REPORT, inbox.take)
        yield Requester(assoc)


class Requester:
    """Asks for commitment on one association."""

    def __init__(self, assoc: Any) -> None:
        self._assoc = assoc

    def request(self, transaction_uid: str, references: Iterable[Reference]) -> int | None:
        """Ask, and return the status that was answered; None where no answer came."""
        ds = request_dataset(transaction_uid, references)
        answer, _ = self._assoc.send_n_action(ds, REQUEST_COMMITMENT, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE)
        status = getattr(answer, "Status", None)
        return None if status is None else int(status)


def request_dataset(transaction_uid: str, references: Iterable[Reference]) -> Dataset:
    """Return the Action Information of a request (PS3.4 table J.3-1)."""
    ds = Dataset()
    ds.TransactionUID = transaction_uid
    ds.ReferencedSOPSequence = [reference_item(sop_class, uid) for sop_class, uid in references]
    return ds


def reference_item(sop_class: str, uid: str) -> Dataset:
    """Return a SOP Instance Reference (PS3.3 table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    return item


def _references(items: Sequence[Dataset]) -> list[Reference]:
    return [(str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID)) for item in items]
