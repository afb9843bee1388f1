"""Storage Commitment Push Model (PS3.4 annex J), as user: archives report what they commit themselves to keep.

A report (N-EVENT-REPORT) comes on an association that the archive asks the node for, or on the one that the request
went out on (PS3.4 J.3.3). Either way its transaction must be one of the node's own: their UIDs are random, and who does
not know one can neither commit nor refuse anything.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from node import logs
from node.delivery.retrying import retries
from node.dicom.services import arguments
from node.dicom.services.arguments import Refusal
from node.dicom.services.base import (
    INVALID_ARGUMENT_VALUE,
    NO_SUCH_EVENT,
    NO_SUCH_SOP_INSTANCE,
    Answer,
    Request,
    Resources,
)
from node.dicom.services.commitment import ALL_COMMITTED, FAILURES_EXIST, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE
from node.records import commitment_requests
from node.records.engine import Records
from node.settings import DeliverySection


@arguments.answering
def take_report(resources: Resources, request: Request) -> Answer:
    """Answer N-EVENT-REPORT: 0000 once what it says is recorded.

    Others: 0112 another instance than the well-known one, 0113 another event, 0115 a transaction that is none of the
    node's or a value that is wrong, 0118 another SOP class, 0120 and 0121 an attribute that is missing or empty, 0213
    too much of it.
    """
    ds = arguments.attributes_of(request, STORAGE_COMMITMENT)
    if request.sop_instance != WELL_KNOWN_INSTANCE:
        raise Refusal(NO_SUCH_SOP_INSTANCE, "not the well-known instance of storage commitment")
    record(resources.records, resources.settings.delivery, request.number, ds)
    title = arguments.title(request.caller.calling_ae_title)
    logs.get("receiver").info("commitment.taken", ae_title=title)
    return Answer()


def record(records: Records, policy: DeliverySection, event_type: int, ds: Dataset) -> None:
    """Record what a report says.

    Raises
    ------
    Refusal
        If it cannot be used, with the status to answer.
    """
    if event_type not in (ALL_COMMITTED, FAILURES_EXIST):
        raise Refusal(NO_SUCH_EVENT, "the events are 1, all committed, and 2, failures exist")
    transaction = arguments.uid(ds, "TransactionUID", INVALID_ARGUMENT_VALUE)
    committed, failed = _committed(ds), _failed(ds)
    with records.write() as session:
        if not commitment_requests.answered(session, transaction, committed, failed, retries(policy)):
            raise Refusal(INVALID_ARGUMENT_VALUE, "the transaction is not one that was asked for")


def _committed(ds: Dataset) -> set[str]:
    found = arguments.items(ds, "ReferencedSOPSequence", INVALID_ARGUMENT_VALUE)
    arguments.bounded(len(found))
    return {uid for _, uid in arguments.references(found, INVALID_ARGUMENT_VALUE)}


def _failed(ds: Dataset) -> dict[str, int]:
    """Return Failure Reasons by SOP Instance UID; 0110, processing failure, where there is none."""
    found = arguments.items(ds, "FailedSOPSequence", INVALID_ARGUMENT_VALUE)
    arguments.bounded(len(found))
    uids = [uid for _, uid in arguments.references(found, INVALID_ARGUMENT_VALUE)]
    reasons = [arguments.text(item, "FailureReason", INVALID_ARGUMENT_VALUE) or "272" for item in found]
    if not all(reason.isascii() and reason.isdigit() and int(reason) < 1 << 16 for reason in reasons):
        raise Refusal(INVALID_ARGUMENT_VALUE, "FailureReason is not a number")
    return {uid: int(reason) for uid, reason in zip(uids, reasons, strict=True)}
