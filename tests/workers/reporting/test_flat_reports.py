"""Results of radiographs, waveforms and the record through a worker: built, recorded, shown, and refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian

from models.contracts import InputKind
from node.records import patients
from node.records.schema import Instance, Job, Series, Study, now
from node.records.states import JobState, StudyState
from node.settings import Destination
from tests.workers.office import Office
from tests.workers.results.kinds import (
    ecg_object,
    radiograph_input,
    radiograph_object,
    record_input,
    waveform_input,
)
from tests.workers.synthetic import Phantom, single_frames, write
from workers import predictions
from workers.reading import inputs
from workers.results import BUILDERS, KINDS
from workers.results.air.checklist import check
from workers.results.air.rule import references
from workers.results.common import ResultInput

EVERYTHING = Destination(
    name="all", kind="folder", path=Path("all"), send=("seg", "sr", "pm", "kos", "gsps", "sc", "pdf", "oru")
)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path, EVERYTHING)
    yield made
    made.close()


def inferred(office: Office, ds: Dataset, inp: ResultInput) -> str:
    """Put an object into the spool, and a job on it that has its prediction."""
    [path] = write(office.context.root / "spool" / "x", [ds])
    loaded = inputs.read([path], inp.card.requirements)
    file = "predictions/job-1.1"
    predictions.save(inp.prediction, inp.card, office.context.root / file, loaded.planes)
    with office.records.write() as session:
        study = Study(
            uid=str(ds.StudyInstanceUID), patient=patients.find_or_create(session, "P-1"),
            state=StudyState.ANALYSING, generation=1, study_date="20261120", study_time="101500",
        )  # fmt: skip
        series = Series(uid=str(ds.SeriesInstanceUID), study=study, modality=str(ds.Modality), number=5, tags={})
        series.instances.append(
            Instance(
                uid=str(ds.SOPInstanceUID), sop_class=str(ds.SOPClassUID), size=path.stat().st_size,
                transfer_syntax=ExplicitVRLittleEndian, path=f"x/{path.name}", digest="xxh128:00",
            )
        )  # fmt: skip
        session.add(study)
        session.add(
            Job(
                id="job-1", study=study, series=series, model=inp.card.name, model_version=inp.card.version, rule="r",
                input_digest="d", destinations=[], state=JobState.INFERRED, attempts=1, started_at=now(),
                prediction=file, findings=[predictions.to_json(f) for f in inp.prediction.findings], warnings=[],
            )
        )  # fmt: skip
    return "job-1"


def made(office: Office, kind: str) -> Dataset:
    [row] = office.results(kind)
    return dcmread(office.context.root / row.path)


def test_a_radiograph_gets_report_capture_pdf_and_message_and_no_map(office: Office) -> None:
    inferred(office, radiograph_object(), radiograph_input())
    office.build()
    assert office.job().state is JobState.DONE
    assert sorted(office.queued("all")) == ["oru", "pdf", "sc", "sr"]
    for kind in ("sr", "sc", "pdf"):
        assert check(made(office, kind)) == []


def test_what_a_worker_drew_is_kept_for_the_page(office: Office) -> None:
    inferred(office, radiograph_object(), radiograph_input())
    office.build()
    root = office.context.root / "predictions"
    said = json.loads((root / "job-1.1.view.json").read_bytes())
    assert (said["kind"], said["threshold"], said["overlays"]) == ("radiograph", 0.4, ["Where the network looked"])
    image, over = (np.asarray(Image.open(root / f"job-1.1.{name}.png")) for name in ("image", "over-0"))
    assert image.shape == over.shape[:2] == (said["image"]["height"], said["image"]["width"])
    hottest = np.unravel_index(over[..., 3].argmax(), over.shape[:2])
    assert hottest[0] / image.shape[0] == pytest.approx(62 / 96, abs=0.03)
    assert hottest[1] / image.shape[1] == pytest.approx(23 / 80, abs=0.03)
    assert not over[0, 0, 3]


def test_an_ecg_is_reported_with_its_waveform(office: Office) -> None:
    inferred(office, ecg_object(), waveform_input())
    office.build()
    assert office.job().state is JobState.DONE
    ecg = str(ecg_object().SOPInstanceUID)
    assert str(made(office, "sc").SourceInstanceSequence[0].ReferencedSOPInstanceUID) == ecg
    assert (office.context.root / "predictions/job-1.1.image.png").exists()


def test_a_model_of_the_record_reports_into_the_study_that_its_job_runs_on(office: Office) -> None:
    inferred(office, single_frames(Phantom())[0], record_input())
    office.build()
    assert office.job().state is JobState.DONE
    source = single_frames(Phantom())[0]
    sr = made(office, "sr")
    assert sr.StudyInstanceUID == source.StudyInstanceUID
    assert str(source.SOPInstanceUID) in {uid for _, uid in references(sr)}
    said = json.loads((office.context.root / "predictions/job-1.1.view.json").read_bytes())
    assert [item["name"]["value"] for item in said["contributions"]][:2] == ["2524-7", "9269-2"]


def test_a_second_look_makes_the_same_objects(office: Office) -> None:
    inferred(office, radiograph_object(), radiograph_input(labels=True))
    office.build()
    before = {(row.kind, row.uid, row.sha256) for kind in ("seg", "sc", "sr", "pdf") for row in office.results(kind)}
    assert len(before) == 4
    office.look_again()
    after = {(row.kind, row.uid, row.sha256) for kind in ("seg", "sc", "sr", "pdf") for row in office.results(kind)}
    assert after == before


def test_a_picture_that_is_there_is_not_drawn_again(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    inferred(office, ecg_object(), waveform_input())
    office.build()
    before = [(row.uid, row.sha256) for row in office.results("sc")]

    def drawn_again(*_: object) -> None:
        raise AssertionError("the capture was drawn again")

    monkeypatch.setitem(BUILDERS, "sc", drawn_again)
    office.note("DOC-1", "I10")
    office.look_again()
    assert office.job().state is JobState.DONE
    assert [(row.uid, row.sha256) for row in office.results("sc")] == before
    assert len(office.results("sr")) == 2


def test_an_image_that_came_since_is_not_reported_on(office: Office) -> None:
    inferred(office, radiograph_object(), radiograph_input())
    other = radiograph_object()
    other.SOPInstanceUID = f"{other.SOPInstanceUID}.9"
    other.file_meta.MediaStorageSOPInstanceUID = other.SOPInstanceUID
    other.save_as(office.context.root / "spool" / "x" / "0000.dcm", enforce_file_format=True)
    office.build()
    assert office.job().state is JobState.FAILED
    assert "not those that the model saw" in office.job().reason


def test_a_map_of_another_size_is_not_drawn_over_the_image(office: Office) -> None:
    wrong = radiograph_input()
    small = wrong.prediction.maps[0].array[:, :-1]
    maps = (replace(wrong.prediction.maps[0], array=small),)
    inferred(office, radiograph_object(), replace(wrong, prediction=replace(wrong.prediction, maps=maps)))
    office.build()
    assert office.job().state is JobState.FAILED
    assert "shape" in office.job().reason


def test_what_was_not_found_is_no_alert_and_no_history(office: Office) -> None:
    inferred(office, radiograph_object(), radiograph_input(0.03))
    office.build()
    job = office.job()
    assert job.assessment["triage"]["critical_findings"] == []
    assert job.assessment["links"] == []
    assert any("not found" in line for line in job.assessment["summary"])


def test_every_kind_of_source_says_which_results_it_has() -> None:
    assert set(KINDS) == set(InputKind)
    assert KINDS[InputKind.VOLUME] == set(BUILDERS)
