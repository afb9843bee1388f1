"""Instance Availability Notification (PS3.4 annex R), as provider: an archive names instances that a study has.

A notification may name any part of a study, and more may follow (PS3.4 R.3.2.1.2): what it names is expected, and
nothing is concluded from what it does not name.
"""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from sqlalchemy import select
from sqlalchemy.orm import Session

from node import logs
from node.dicom.services import arguments
from node.dicom.services.arguments import Refusal
from node.dicom.services.base import DUPLICATE_SOP_INSTANCE, INVALID_ATTRIBUTE_VALUE, Answer, Request, Resources
from node.records import expectations, timeline
from node.records.schema import Expectation, Study

AVAILABILITY_NOTIFICATION = "1.2.840.10008.5.1.4.33"
SOURCE = "ian"
AVAILABLE = frozenset({"ONLINE", "NEARLINE", "OFFLINE"})
UNAVAILABLE = "UNAVAILABLE"
"""Instance Availability (0008,0056), PS3.3 C.4.23.1.1. What is unavailable will not come, so it is not expected."""


@arguments.answering
def notify(resources: Resources, request: Request) -> Answer:
    """Answer N-CREATE: 0000, also for the same notification again, and the UID where it was left to the node.

    Others: 0106 a value that is not allowed, 0111 there is another one of this UID, 0117 it is no UID, 0118 another SOP
    class, 0120 and 0121 missing or empty, 0213 too much.
    """
    ds = arguments.attributes_of(request, AVAILABILITY_NOTIFICATION)
    uid = arguments.instance_of(request) or str(generate_uid(prefix=None))
    study_uid, instances = arguments.uid(ds, "StudyInstanceUID"), _available(ds)
    with resources.records.write() as session:
        known = session.scalars(select(Expectation).filter_by(source=SOURCE, reference=uid)).first()
        if known is None:
            expectations.expect(
                session, study_uid, SOURCE, uid, count=len(instances) or None, instances=instances, final=False
            )
            _line(session, study_uid, request, len(instances))
        elif (known.study_uid, known.instances) != (study_uid, instances):
            raise Refusal(DUPLICATE_SOP_INSTANCE, "there is another notification of this UID")
    return Answer(sop_instance="" if request.sop_instance else uid)


def _available(ds: Dataset) -> list[str]:
    """Return the instances that are available, once each."""
    found: dict[str, None] = {}
    for series in arguments.required_items(ds, "ReferencedSeriesSequence"):
        named = arguments.required_items(series, "ReferencedSOPSequence")
        arguments.bounded(len(found) + len(named))
        for item, (_, uid) in zip(named, arguments.references(named), strict=True):
            availability = arguments.required(item, "InstanceAvailability")
            if availability in AVAILABLE:
                found[uid] = None
            elif availability != UNAVAILABLE:
                raise Refusal(INVALID_ATTRIBUTE_VALUE, "InstanceAvailability has no such value")
    return list(found)


def _line(session: Session, study_uid: str, request: Request, count: int) -> None:
    source = arguments.title(request.caller.calling_ae_title)
    study = session.scalars(select(Study).where(Study.uid == study_uid)).first()
    timeline.add(session, "ian.received", f"{source} says that instances are available: {count}.", study=study)
    logs.get("receiver").info("ian.received", ae_title=source, count=count)
