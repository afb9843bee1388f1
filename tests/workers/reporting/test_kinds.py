"""Every kind of result through a worker: built, recorded, queued for whom it is for, and made once."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import select

from node.records import jobs
from node.records.schema import Delivery, Instance, Job, Order, Patient, Result, Series, Study
from node.records.states import JobState, StudyState
from node.settings import Destination, NodeSection, ResultKind, Settings
from node.simulator import studies
from tests.stores import fill
from workers import tasks
from workers.context import Context
from workers.results import BUILDERS

pytestmark = pytest.mark.long

EVERYTHING: tuple[ResultKind, ...] = ("seg", "sr", "pm", "kos", "gsps", "sc", "pdf")
DESTINATIONS = (
    Destination(name="all", kind="folder", path=Path("all"), send=(*EVERYTHING, "oru")),
    Destination(name="maps", kind="dicom", host="h", port=1, ae_title="A", segmentation="labelmap"),
    Destination(name="split", kind="dicom", host="h", port=1, ae_title="B", split_segments=True, empty_frames=True),
    Destination(name="ris", kind="mllp", host="h", port=1),
)


JOB = "job"


def open_context(root: Path) -> Context:
    return Context(Settings(node=NodeSection(root=root), destinations=DESTINATIONS), "worker")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the root of a node that has built the results of a generated study once, to be copied."""
    context = open_context(tmp_path_factory.mktemp("built"))
    fill(context.records)
    _add_job(context)
    tasks.infer(context, JOB)
    tasks.build(context, JOB)
    context.records.close()
    return context.root


@pytest.fixture
def context(built: Path, tmp_path: Path) -> Iterator[Context]:
    """A worker of a node with the results of one job."""
    found = open_context(shutil.copytree(built, tmp_path / "root"))
    yield found
    found.records.close()


def _add_job(context: Context) -> None:
    """Put a generated study into the spool with a job on it."""
    made = studies.generate(3)
    with context.records.write() as session:
        study = Study(uid=made.study_uid, patient=Patient(patient_id="P1"), state=StudyState.ANALYSING, generation=1)
        study.calling_ae_title = "MR1"
        series = Series(uid=made.series_uid, study=study, modality="MR", body_part="BRAIN", number=1, tags={})
        for path in studies.write(made, context.root / "spool"):
            ds = dcmread(path, stop_before_pixels=True)
            series.instances.append(
                Instance(
                    uid=ds.SOPInstanceUID, sop_class=ds.SOPClassUID, transfer_syntax="1.2.840.10008.1.2.1",
                    path=str(path.relative_to(context.root / "spool")), size=path.stat().st_size, digest="xxh128:00",
                )
            )  # fmt: skip
        session.add(study)
        session.flush()
        row = Job(
            id=JOB, study=study, series=series, model="hippocampus", rule="r", input_digest="d", destinations=[],
            state=JobState.QUEUED, attempts=0, findings=[], warnings=[],
        )  # fmt: skip
        session.add(row)


def rows(context: Context) -> list[Result]:
    with context.records.read() as session:
        return list(session.scalars(select(Result).order_by(Result.id)))


def queued(context: Context, destination: str) -> Counter[tuple[str, str]]:
    with context.records.read() as session:
        query = select(Result.kind, Result.profile).join(Delivery).where(Delivery.destination == destination)
        return Counter((kind, profile) for kind, profile in session.execute(query))


def test_every_destination_gets_its_kinds_in_its_form_and_a_repetition_changes_nothing(context: Context) -> None:
    everything = queued(context, "all")
    assert {kind for kind, _ in everything} == {*EVERYTHING, "oru"}
    assert {profile for _, profile in everything} == {""}
    assert queued(context, "maps") == {("seg", "labelmap"): 1, ("sr", "labelmap"): 1}
    assert queued(context, "split") == {("seg", "empty+split"): 2, ("sr", "empty+split"): 1}
    assert queued(context, "ris") == {("oru", ""): 1}
    before = {row.uid: row.sha256 for row in rows(context)}
    with context.records.write() as session:
        jobs.step(session.get_one(Job, JOB), JobState.INFERRED)
    tasks.build(context, JOB)
    assert {row.uid: row.sha256 for row in rows(context)} == before


def test_reports_refer_to_the_segmentations_of_their_own_form(context: Context) -> None:
    segs: dict[str, set[str]] = {}
    for row in rows(context):
        if row.kind == "seg":
            segs.setdefault(row.profile, set()).add(row.uid)
    for row in rows(context):
        if row.kind == "sr":
            named = {
                str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
                for item in _walk(dcmread(context.root / row.path))
                if item.get("ValueType") == "IMAGE" and "ReferencedSegmentNumber" in item.ReferencedSOPSequence[0]
            }
            assert named == segs[row.profile]


def test_a_kind_that_a_destination_asks_for_later_is_built_from_the_same_prediction(context: Context) -> None:
    count = len(rows(context))
    more = Destination(name="more", kind="folder", path=Path("more"), segmentation="fractional")
    context.settings = context.settings.model_copy(update={"destinations": (*DESTINATIONS, more)})
    with context.records.write() as session:
        jobs.step(session.get_one(Job, JOB), JobState.INFERRED)
    tasks.build(context, JOB)
    assert queued(context, "more") == {("seg", "fractional"): 1, ("sr", "fractional"): 1}
    assert len(rows(context)) == count + 2


def test_a_destination_that_is_new_gets_the_segmentation_that_its_first_report_names(context: Context) -> None:
    late = Destination(name="late", kind="folder", path=Path("late"))
    context.settings = context.settings.model_copy(update={"destinations": (*DESTINATIONS, late)})
    with context.records.write() as session:
        row = session.get_one(Job, JOB)
        row.study.order = Order(patient=row.study.patient, accession_number="A1", reason="forgetful")
        jobs.step(row, JobState.INFERRED)
    before = queued(context, "all")
    tasks.build(context, JOB)
    assert queued(context, "late") == {("seg", ""): 1, ("sr", ""): 1, ("oru", ""): 1}
    assert queued(context, "all") - before == {("sr", ""): 1, ("pdf", ""): 1, ("oru", ""): 1}, "nothing goes twice"


def test_a_note_makes_new_documents_and_leaves_pictures_and_maps_alone(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {row.uid for row in rows(context)}
    monkeypatch.setitem(BUILDERS, "pm", lambda *_: pytest.fail("built again"))
    with context.records.write() as session:
        row = session.get_one(Job, JOB)
        row.study.order = Order(patient=row.study.patient, accession_number="A1", reason="forgetful")
        jobs.step(row, JobState.INFERRED)
    tasks.build(context, JOB)
    new = [row for row in rows(context) if row.uid not in before]
    assert Counter((row.kind, row.profile) for row in new) == Counter(
        [("sr", ""), ("pdf", ""), ("oru", ""), ("sr", "labelmap"), ("sr", "empty+split")]
    )
    assert all(row.predecessor in before for row in new if row.kind != "oru")
    [message] = [context.root / row.path for row in new if row.kind == "oru"]
    assert all(row.uid.encode() in message.read_bytes() for row in rows(context) if row.kind in ("pm", "kos", "sc"))


def _walk(ds: Dataset) -> Iterator[Dataset]:
    for item in ds.get("ContentSequence", ()):
        yield item
        yield from _walk(item)
