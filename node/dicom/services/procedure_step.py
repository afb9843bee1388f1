"""Modality Performed Procedure Step (PS3.4 annex F), as provider: evidence of what a study will hold.

The attributes that say it are read and checked, the others, patients among them, are neither kept nor judged: what a
scanner leaves out of its billing is no reason to lose its images.
"""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from node import logs
from node.dicom.services import arguments
from node.dicom.services.arguments import Refusal
from node.dicom.services.base import (
    DUPLICATE_SOP_INSTANCE,
    INVALID_ATTRIBUTE_VALUE,
    INVALID_SOP_INSTANCE,
    MISSING_ATTRIBUTE_VALUE,
    NO_SUCH_SOP_INSTANCE,
    PROCESSING_FAILURE,
    Answer,
    Request,
    Resources,
)
from node.errors import StateError
from node.records import procedures
from node.records.states import ProcedureStepState

PROCEDURE_STEP = "1.2.840.10008.3.1.2.3.3"
NO_LONGER_UPDATED = 0xA710
"""Error ID of an N-SET on a step that is over (PS3.4 table F.7.2-2)."""
CREATED_AS = ProcedureStepState.IN_PROGRESS
REFERENCES = ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")
"""What an item of Performed Series Sequence names its instances in (PS3.4 table F.7.2-1)."""


@arguments.answering
def create_step(resources: Resources, request: Request) -> Answer:
    """Answer N-CREATE: 0000, and the UID where the request left it to the node (PS3.7 10.1.5.1.4).

    Others: 0106 a value that is not allowed, a status other than IN PROGRESS first of all (PS3.4 F.7.2.1.3), 0111 there
    is one of this UID, 0117 it is no UID, 0118 another SOP class, 0120 and 0121 missing or empty, 0213 too much.
    """
    ds = arguments.attributes_of(request, PROCEDURE_STEP)
    uid = arguments.instance_of(request) or str(generate_uid(prefix=None))
    if arguments.required(ds, "PerformedProcedureStepStatus") != CREATED_AS:
        raise Refusal(INVALID_ATTRIBUTE_VALUE, "PerformedProcedureStepStatus is not IN PROGRESS")
    studies = _studies(ds)
    with resources.records.write() as session:
        step = procedures.create(
            session,
            uid,
            studies,
            calling=arguments.title(request.caller.calling_ae_title),
            modality=arguments.title(arguments.text(ds, "Modality") or ""),
            instances=_instances(ds) or (),
        )
    if step is None:
        raise Refusal(DUPLICATE_SOP_INSTANCE, "there is a procedure step of this UID")
    _log("mpps.created", request, step.state)
    return Answer(sop_instance="" if request.sop_instance else uid)


@arguments.answering
def set_step(resources: Resources, request: Request) -> Answer:
    """Answer N-SET: 0000.

    Others: 0106 a value that is not allowed, 0110 with Error ID A710 the step is over (PS3.4 F.7.2.2.4), 0112 there is
    none of this UID, 0117 it is no UID, 0118 another SOP class, 0120 no data set, 0121 an empty value, 0213 too much.
    """
    ds = arguments.attributes_of(request, PROCEDURE_STEP)
    uid = arguments.instance_of(request)
    if not uid:
        raise Refusal(INVALID_SOP_INSTANCE, "the request names no SOP instance")
    change = procedures.Change(_state(ds), _instances(ds))
    with resources.records.write() as session:
        step = procedures.find(session, uid)
        if step is None:
            raise Refusal(NO_SUCH_SOP_INSTANCE, "there is no procedure step of this UID")
        try:
            procedures.update(session, step, change)
        except StateError:
            comment = "Performed Procedure Step Object may no longer be updated"
            raise Refusal(PROCESSING_FAILURE, comment, error_id=NO_LONGER_UPDATED) from None
    _log("mpps.set", request, step.state)
    return Answer()


def _studies(ds: Dataset) -> list[str]:
    """Return the studies of a step; each item of the sequence is one scheduled step (PS3.3 C.4.13)."""
    scheduled = arguments.required_items(ds, "ScheduledStepAttributesSequence")
    arguments.bounded(len(scheduled))
    return [arguments.uid(item, "StudyInstanceUID") for item in scheduled]


def _state(ds: Dataset) -> ProcedureStepState | None:
    value = arguments.text(ds, "PerformedProcedureStepStatus")
    if value is None:
        return None
    if not value:
        raise Refusal(MISSING_ATTRIBUTE_VALUE, "PerformedProcedureStepStatus is empty")
    try:
        return ProcedureStepState(value)
    except ValueError:
        raise Refusal(INVALID_ATTRIBUTE_VALUE, "PerformedProcedureStepStatus has no such value") from None


def _instances(ds: Dataset) -> list[str] | None:
    """Return the instances of all performed series; None where the request does not speak of series."""
    if "PerformedSeriesSequence" not in ds:
        return None
    found: dict[str, None] = {}
    for series in arguments.items(ds, "PerformedSeriesSequence"):
        for keyword in REFERENCES:
            named = arguments.items(series, keyword)
            arguments.bounded(len(found) + len(named))
            found.update((uid, None) for _, uid in arguments.references(named))
    return list(found)


def _log(event: str, request: Request, state: ProcedureStepState) -> None:
    title = arguments.title(request.caller.calling_ae_title)
    logs.get("receiver").info(event, ae_title=title, state=state.value)
