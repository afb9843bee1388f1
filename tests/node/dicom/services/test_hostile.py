"""Whatever a data set holds, a service answers with a status of PS3.7 annex C, and quotes nothing of it."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from node.dicom.services import N_ACTION_RQ, N_CREATE_RQ, N_SET_RQ, SERVICES, commitment
from node.dicom.services.availability import AVAILABILITY_NOTIFICATION
from node.dicom.services.base import Resources
from node.dicom.services.commitment import STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE
from node.dicom.services.procedure_step import PROCEDURE_STEP
from node.simulator.commitment import request_dataset
from node.simulator.scu import availability, step_created, step_set
from tests.node.dicom.services.conftest import absent, request

MARK = "ROBIN"
KNOWN = {0x0000, 0x0106, 0x0110, 0x0111, 0x0112, 0x0115, 0x0117, 0x0118, 0x0119, 0x0120, 0x0121, 0x0123, 0x0213}
CALLS = [
    (STORAGE_COMMITMENT, N_ACTION_RQ, WELL_KNOWN_INSTANCE),
    (PROCEDURE_STEP, N_CREATE_RQ, "1.2.840.1"),
    (PROCEDURE_STEP, N_CREATE_RQ, ""),
    (PROCEDURE_STEP, N_SET_RQ, "1.2.840.1"),
    (AVAILABILITY_NOTIFICATION, N_CREATE_RQ, "1.2.840.2"),
]
KEYWORDS = [
    "TransactionUID", "ReferencedSOPSequence", "ReferencedSOPClassUID", "ReferencedSOPInstanceUID", "StudyInstanceUID",
    "PerformedProcedureStepStatus", "ScheduledStepAttributesSequence", "PerformedSeriesSequence", "Modality",
    "ReferencedImageSequence", "ReferencedSeriesSequence", "InstanceAvailability",
]  # fmt: skip
WHOLE = [
    request_dataset("1.2.3", [absent(), absent("1.2.998")]),
    step_created("1.2.3"),
    step_set("COMPLETED", [absent()], [absent("1.2.998")]),
    availability("1.2.3", [absent()]),
]
RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commitment, "NAMING_SECONDS", 0.0)


def call_all(resources: Resources, ds: Dataset | None) -> None:
    for sop_class, command, instance in CALLS:
        answer = SERVICES[sop_class, command](resources, request(command, sop_class, instance, ds, number=1))
        assert answer.status in KNOWN
        assert len(answer.comment) <= 64
        assert MARK not in answer.comment


texts = st.one_of(st.just(MARK), st.just("1.2.3"), st.just("COMPLETED"), st.text(max_size=80), st.just(""))
values = st.one_of(
    st.tuples(st.sampled_from(["UI", "LO", "CS", "PN", "OB"]), texts),
    st.tuples(st.sampled_from(["US", "SS"]), st.integers(0, 100)),
    st.tuples(st.just("UI"), st.lists(texts, max_size=3)),
)


@st.composite
def datasets(draw: st.DrawFn, depth: int = 2) -> Dataset:
    """Draw a data set of attributes that services read, of any VR, with any value, nested."""
    ds = Dataset()
    for keyword in draw(st.lists(st.sampled_from(KEYWORDS), unique=True, max_size=6)):
        if depth and draw(st.booleans()):
            ds.add(DataElement(keyword, "SQ", draw(st.lists(datasets(depth - 1), max_size=2))))
            continue
        vr, value = draw(values)
        ds.add(DataElement(keyword, vr, str(value).encode() if vr == "OB" else value))
    return ds


@RELAXED
@given(ds=datasets())
def test_attributes_of_any_kind_and_value_are_answered(resources: Resources, ds: Dataset) -> None:
    call_all(resources, ds)


@RELAXED
@given(data=st.binary(max_size=300), implicit=st.booleans())
def test_bytes_that_are_no_data_set_are_answered(resources: Resources, data: bytes, implicit: bool) -> None:
    try:
        ds = decode(BytesIO(data), implicit, True)
    except Exception:
        return  # the association answers what it cannot decode itself
    call_all(resources, ds)


@RELAXED
@given(which=st.sampled_from(WHOLE), at=st.integers(0, 10_000), byte=st.integers(0, 255), implicit=st.booleans())
def test_whole_requests_with_one_wrong_byte_are_answered(
    resources: Resources, which: Dataset, at: int, byte: int, implicit: bool
) -> None:
    data = bytearray(encode(which, implicit, True) or b"")
    data[at % len(data)] = byte
    try:
        ds = decode(BytesIO(bytes(data)), implicit, True)
    except Exception:
        return
    call_all(resources, ds)
