"""Storage Commitment Push Model (PS3.4 annex J), as provider.

A request (N-ACTION) is written down before it is answered. What it asks for is answered from the disk: an instance is
committed when its file is there, is of the SOP class that was named, and holds the bytes that its seal was made of when
it came in. The report (N-EVENT-REPORT) goes out on a new association where the requester can be called, which
:mod:`node.delivery.commitment` does, and otherwise on the association that the request came on.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pydicom.dataset import Dataset

from node import logs
from node.dicom.part10 import read_meta
from node.dicom.services import arguments
from node.dicom.services.arguments import Refusal
from node.dicom.services.base import (
    CLASS_INSTANCE_CONFLICT,
    INVALID_ARGUMENT_VALUE,
    NO_SUCH_ACTION,
    NO_SUCH_SOP_INSTANCE,
    PROCESSING_FAILURE,
    RESOURCE_LIMITATION,
    Answer,
    Report,
    Request,
    Resources,
)
from node.errors import DicomInputError, OutOfResources
from node.records import commitments
from node.records.commitments import Asked, Failure, Reference
from node.records.schema import now
from node.settings import DicomSection, Peer
from node.storage import Spool
from node.storage.seal import seal_of_file
from node.storage.system import sync_file_system

STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"
REQUEST_COMMITMENT = 1
"""Action Type ID (PS3.4 table J.3-1)."""
ALL_COMMITTED, FAILURES_EXIST = 1, 2
"""Event Type IDs (PS3.4 table J.3-2)."""
COMMITTED = 0
"""In place of a Failure Reason."""
SAME_ASSOCIATION = dt.timedelta(minutes=10)
"""How long a report may wait on the association it was asked for on; after that nobody waits for it there."""
NAMING_SECONDS = 1.0
"""How long an instance that was just answered for may take to get its name in the spool."""


@arguments.answering
def request_commitment(resources: Resources, request: Request) -> Answer:
    """Answer N-ACTION: 0000 once the request survives a power cut (PS3.4 J.3.2.1.3).

    Others: 0112 another instance than the well-known one, 0115 a UID that is none or a transaction in use, 0118 another
    SOP class, 0120 and 0121 an attribute that is missing or empty, 0123 another action, 0213 too much of it.
    """
    ds = arguments.attributes_of(request, STORAGE_COMMITMENT)
    if request.sop_instance != WELL_KNOWN_INSTANCE:
        raise Refusal(NO_SUCH_SOP_INSTANCE, "not the well-known instance of storage commitment")
    if request.number != REQUEST_COMMITMENT:
        raise Refusal(NO_SUCH_ACTION, "the only action is 1, request storage commitment")
    asked = _asked(ds, request)
    callable_ = peer_of(resources.settings.dicom, asked.calling_ae_title) is not None
    key = _record(resources, asked, now() if callable_ else now() + SAME_ASSOCIATION)
    return Answer() if callable_ else Answer(report=_report(resources, key, asked))


def peer_of(settings: DicomSection, ae_title: str) -> Peer | None:
    """Return the peer of that AE title which can be called, or None."""
    return next((peer for peer in settings.peers if peer.ae_title == ae_title and peer.host and peer.port), None)


def judge(spool: Spool, references: Iterable[Reference]) -> list[Failure]:
    """Return which instances are not safe on this node's disk, in their order, with Failure Reasons (PS3.3 C.14.1.1).

    0112 it is not there, 0119 it is of another SOP class, 0110 its file is damaged or cannot be read.
    """
    wanted = list(references)
    unique = dict.fromkeys(wanted)
    reasons = {reference: _examine(spool, reference) for reference in unique}
    if absent := [reference for reference, reason in reasons.items() if reason == NO_SUCH_SOP_INSTANCE]:
        time.sleep(NAMING_SECONDS)
        reasons |= {reference: _examine(spool, reference) for reference in absent}
    if COMMITTED in reasons.values() and not _durable(spool.root):
        reasons = {reference: reason or PROCESSING_FAILURE for reference, reason in reasons.items()}
    return [(*reference, reason) for reference in wanted if (reason := reasons[reference])]


def verified(spool: Spool, uid: str) -> tuple[str, bool]:
    """Return the SOP class of an instance in the spool, and whether its file holds what was received.

    Raises
    ------
    OSError
        If it is not there or cannot be read.
    DicomInputError
        If its file is no DICOM file.
    """
    path = spool.root / spool.name(uid)
    said, found = seal_of_file(path)
    sop_class, named = _identity(path)
    return sop_class, said == found and named == uid


def event(transaction_uid: str, references: Sequence[Reference], failures: Sequence[Failure]) -> tuple[int, Dataset]:
    """Return Event Type ID and Event Information of a report (PS3.4 table J.3-2).

    Every instance of the request is in one of the two sequences. Retrieve AE Title is left out: it is optional, and
    the node provides no retrieval.
    """
    failed = {tuple(failure[:2]) for failure in failures}
    ds = Dataset()
    ds.TransactionUID = transaction_uid
    committed = [_item(reference) for reference in references if tuple(reference) not in failed]
    if committed:
        ds.ReferencedSOPSequence = committed
    if not failures:
        return ALL_COMMITTED, ds
    ds.FailedSOPSequence = [_item(failure[:2]) for failure in failures]
    for item, failure in zip(ds.FailedSOPSequence, failures, strict=True):
        item.FailureReason = failure[2]
    return FAILURES_EXIST, ds


def request(transaction_uid: str, references: Iterable[Reference]) -> Dataset:
    """Return the Action Information of a request (PS3.4 table J.3-1)."""
    ds = Dataset()
    ds.TransactionUID = transaction_uid
    ds.ReferencedSOPSequence = [_item(reference) for reference in references]
    return ds


def _asked(ds: Dataset, request: Request) -> Asked:
    transaction = arguments.uid(ds, "TransactionUID", INVALID_ARGUMENT_VALUE)
    sequence = arguments.required_items(ds, "ReferencedSOPSequence", INVALID_ARGUMENT_VALUE)
    arguments.bounded(len(sequence))
    references = tuple(arguments.references(sequence, INVALID_ARGUMENT_VALUE))
    caller = request.caller
    calling, called = arguments.title(caller.calling_ae_title), arguments.title(caller.called_ae_title)
    return Asked(transaction, calling, called, caller.address, references)


def _record(resources: Resources, asked: Asked, next_at: dt.datetime) -> int:
    try:
        with resources.records.write() as session:
            key = commitments.request(session, asked, next_at).id
    except commitments.TransactionInUse as exc:
        raise Refusal(INVALID_ARGUMENT_VALUE, str(exc)) from exc
    except OutOfResources as exc:
        raise Refusal(RESOURCE_LIMITATION, str(exc)) from exc
    logs.get("receiver").info("commitment.requested", ae_title=asked.calling_ae_title, count=len(asked.references))
    return key


def _report(resources: Resources, key: int, asked: Asked) -> Report:
    """Make the report for the same association: judged when it is sent, recorded when it is answered."""

    def dataset() -> tuple[int, Dataset]:
        failures = judge(resources.spool, asked.references)
        with resources.records.write() as session:
            commitments.judged(session, key, failures)
        return event(asked.transaction_uid, asked.references, failures)

    return Report(STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE, dataset, _delivered(resources, key))


def _delivered(resources: Resources, key: int) -> Callable[[bool], None]:
    def delivered(ok: bool) -> None:
        reason = "it was not taken on its association, and dicom.peers gives no host and port for it"
        with resources.records.write() as session:
            if ok:
                commitments.reported(session, key)
            else:
                commitments.refused(session, key, reason, None)

    return delivered


def _examine(spool: Spool, reference: Reference) -> int:
    """Return the Failure Reason of one instance, or COMMITTED."""
    wanted, uid = reference
    try:
        sop_class, whole = verified(spool, uid)
    except FileNotFoundError:
        return NO_SUCH_SOP_INSTANCE
    except (OSError, DicomInputError):
        return PROCESSING_FAILURE
    if sop_class != wanted:
        return CLASS_INSTANCE_CONFLICT
    return COMMITTED if whole else PROCESSING_FAILURE


def _identity(path: Path) -> tuple[str, str]:
    with path.open("rb") as stream:
        meta = read_meta(stream)
    return meta.sop_class, meta.sop_instance


def _durable(root: Path) -> bool:
    """Whether everything is on the disk: under ``dicom.durability = "none"`` Success did not wait for that."""
    try:
        sync_file_system(root)
    except OSError:
        return False
    return True


def _item(reference: Sequence[str | int]) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = reference[:2]
    return item
