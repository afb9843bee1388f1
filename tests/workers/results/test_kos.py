"""The key object selection names the images that show most of what was found, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from highdicom.ko import KeyObjectSelectionDocument
from highdicom.sr import DeviceObserverIdentifyingAttributes
from pydicom.dataset import Dataset

from models.contracts import Prediction
from tests.peers import run
from tests.workers.results.written import save, to_bytes, written
from tests.workers.synthetic import CARD, Phantom, multi_frame, result_input, single_frames, write
from workers.reading.volume.load import read_headers
from workers.results.common import DISCLAIMER, ReportedFact, ResultInput, device_uid
from workers.results.keys import key_slices
from workers.results.kos import build_kos
from workers.results.profile import DEFAULT
from workers.results.validate import errors, validate

ORDER = [3, 0, 5, 1, 4, 2]


@pytest.fixture
def inp(tmp_path: Path) -> ResultInput:
    """Give the input of a small series of single-frame images."""
    return result_input(read_headers(write(tmp_path / "source", single_frames(Phantom()))), Phantom().shape)


@pytest.fixture
def enhanced(tmp_path: Path) -> ResultInput:
    """Give the input of one multi-frame image whose frames are in disorder."""
    return result_input(read_headers(write(tmp_path / "enhanced", [multi_frame(Phantom(), ORDER)])), Phantom().shape)


def _build(inp: ResultInput) -> Dataset:
    [kos] = build_kos(inp, DEFAULT, {})
    return kos


def _images(kos: Dataset) -> list[Dataset]:
    return [item.ReferencedSOPSequence[0] for item in kos.ContentSequence if item.ValueType == "IMAGE"]


def test_key_images_are_named_in_order_of_importance(inp: ResultInput) -> None:
    kos = written(_build(inp))
    expected = [str(inp.sources[k].SOPInstanceUID) for k in key_slices(inp)]
    assert [str(item.ReferencedSOPInstanceUID) for item in _images(kos)] == expected
    assert len(expected) == 2
    [study] = kos.CurrentRequestedProcedureEvidenceSequence
    [series] = study.ReferencedSeriesSequence
    assert study.StudyInstanceUID == inp.image.StudyInstanceUID
    assert series.SeriesInstanceUID == inp.image.SeriesInstanceUID
    assert {str(item.ReferencedSOPInstanceUID) for item in series.ReferencedSOPSequence} == set(expected)


def test_of_an_enhanced_image_the_frames_that_show_the_key_slices_are_named(enhanced: ResultInput) -> None:
    [image] = _images(written(_build(enhanced)))
    assert image.ReferencedSOPInstanceUID == enhanced.image.SOPInstanceUID
    assert [ORDER[number - 1] for number in image.ReferencedFrameNumber] == list(key_slices(enhanced))


def test_it_says_what_was_selected_and_who_selected_it_and_what_it_is_not(inp: ResultInput) -> None:
    document = KeyObjectSelectionDocument.from_dataset(written(_build(inp)))
    title = document.ConceptNameCodeSequence[0]
    assert (title.CodeValue, title.CodingSchemeDesignator) == ("113000", "DCM")
    [observer] = document.content.get_observer_contexts()
    device = observer.observer_identifying_attributes
    assert isinstance(device, DeviceObserverIdentifyingAttributes)
    assert device.uid == device_uid(CARD)
    [text] = [item.TextValue for item in document.ContentSequence if item.get("ValueType") == "TEXT"
              and item.ConceptNameCodeSequence[0].CodeValue == "113012"]  # fmt: skip
    assert DISCLAIMER in text
    assert [ref.referenced_sop_instance_uid for ref in document.content.get_references()] == [
        inp.sources[k].SOPInstanceUID for k in key_slices(inp)
    ]


def test_it_stands_in_the_study_behind_its_images(inp: ResultInput) -> None:
    kos = written(_build(inp))
    assert (kos.PatientID, kos.AccessionNumber, kos.StudyDescription) == ("P-1", "A-1", "Kopf")
    assert str(kos.PatientName) == "Müller^Käthe"
    assert (int(kos.SeriesNumber), kos.SeriesDescription) == (10054, "KOS Hippocampus segmentation")


def test_what_shows_nothing_has_no_key_objects(inp: ResultInput) -> None:
    assert not build_kos(replace(inp, prediction=Prediction(())), DEFAULT, {})


def test_a_retry_makes_the_same_bytes_whatever_notes_came_meanwhile(inp: ResultInput) -> None:
    first = to_bytes(_build(inp))
    noted = replace(inp, context_digest="44" * 32, note_facts=(ReportedFact(CARD.outputs[0].type),))
    assert to_bytes(_build(noted)) == first
    assert _build(replace(inp, input_digest="33" * 32)).SOPInstanceUID != written(_build(inp)).SOPInstanceUID


@pytest.mark.parametrize("source", ["inp", "enhanced"])
def test_dciodvfy_and_dicomsrvalidator_find_no_error(
    source: str, request: pytest.FixtureRequest, peer: Callable[[str], str], tmp_path: Path
) -> None:
    for program in ("dciodvfy", "java"):
        peer(program)
    path = save(_build(request.getfixturevalue(source)), tmp_path / "kos.dcm")
    assert errors(validate(path)) == []


def test_dsrdump_reads_the_images_and_frames(enhanced: ResultInput, peer: Callable[[str], str], tmp_path: Path) -> None:
    done = run(peer("dsrdump"), "+Pl", "+U8", str(save(_build(enhanced), tmp_path / "kos.dcm")))
    frames = ",".join(str(ORDER.index(k) + 1) for k in key_slices(enhanced))
    assert done.returncode == 0
    assert f"<contains IMAGE:=(MRe image,,{frames})" in done.stdout
