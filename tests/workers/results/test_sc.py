"""Captures show key slices and words to viewers that show nothing else, and say no word about who the patient is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import httpx2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from models.contracts import Code, Finding, Measurement, Prediction
from tests.peers import Orthanc, run
from tests.workers.synthetic import (
    CARD,
    HIPPOCAMPUS,
    MILLILITRE,
    SEGMENTS,
    VOLUME,
    Phantom,
    multi_frame,
    result_input,
    single_frames,
    write,
)
from workers.reading.volume.load import read_series
from workers.results.common import DISCLAIMER, KeySlice, ResultInput
from workers.results.pictures.drawing import font
from workers.results.pictures.page import AMBER, wrap
from workers.results.profile import DEFAULT
from workers.results.sc import build_scs


def _input(
    folder: Path,
    keys: Sequence[int] = (3, 1),
    change: Callable[[Dataset], None] | None = None,
    instances: list[Dataset] | None = None,
    **changes: object,
) -> ResultInput:
    phantom = Phantom()
    loaded = read_series(write(folder, instances or single_frames(phantom), change))
    slices = tuple(KeySlice(k, loaded.volume.array[k]) for k in keys)
    return result_input(loaded.sources, phantom.shape, key_slices=slices, **changes)


def _bytes(ds: Dataset) -> bytes:
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _built(inp: ResultInput) -> list[Dataset]:
    return [dcmread(BytesIO(_bytes(ds))) for ds in build_scs(inp, DEFAULT, {})]


def test_there_is_one_colour_image_for_each_key_slice_in_their_order(tmp_path: Path) -> None:
    inp = _input(tmp_path)
    captures = _built(inp)
    assert [int(sc.InstanceNumber) for sc in captures] == [1, 2]
    for sc, k in zip(captures, (3, 1), strict=True):
        assert sc.SOPClassUID.name == "Secondary Capture Image Storage"
        assert sc.pixel_array.shape == (sc.Rows, sc.Columns, 3)
        assert sc.PhotometricInterpretation == "RGB"
        [source] = sc.SourceImageSequence
        assert source.ReferencedSOPInstanceUID == inp.sources[k].SOPInstanceUID
        assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        assert sc.PatientOrientation == ["L", "P"]
    first, second = (sc.pixel_array[:768, :768] for sc in captures)
    assert [(first == spec.rgb).all(axis=2).any() for spec in SEGMENTS] == [True, True]
    assert (second == SEGMENTS[0].rgb).all(axis=2).any()


def test_a_capture_of_an_enhanced_image_names_the_frame(tmp_path: Path) -> None:
    inp = _input(tmp_path, keys=(4,), instances=[multi_frame(Phantom(), [2, 1, 0, 3, 5, 4])])
    [sc] = _built(inp)
    assert sc.SourceImageSequence[0].ReferencedFrameNumber == 6


def test_a_capture_stands_in_the_study_behind_its_images_and_says_who_made_it(tmp_path: Path) -> None:
    def visible(ds: Dataset) -> None:
        ds.RecognizableVisualFeatures = "YES"
        ds.PatientAge = "076Y"

    inp = _input(tmp_path, change=visible)
    sc = _built(inp)[0]
    assert (sc.StudyInstanceUID, sc.PatientName, sc.PatientID) == (inp.image.StudyInstanceUID, "Müller^Käthe", "P-1")
    assert (sc.AccessionNumber, sc.StudyDescription, sc.PatientAge) == ("A-1", "Kopf", "076Y")
    assert int(sc.SeriesNumber) == 10056
    assert sc.SeriesDescription == "SC Hippocampus segmentation"
    assert sc.SpecificCharacterSet == "ISO_IR 100"
    assert sc.ConversionType == "WSD"
    assert list(sc.ImageType[:2]) == ["DERIVED", "SECONDARY"]
    assert sc.RecognizableVisualFeatures == "YES"
    assert (sc.ContentDate, sc.DateOfSecondaryCapture) == ("20261120", "20261120")
    assert CARD.weights_sha256 in sc.DerivationDescription
    assert DISCLAIMER in sc.DerivationDescription
    makers = [item.Manufacturer for item in sc.ContributingEquipmentSequence]
    assert makers[:2] == ["Maker", "Overread"]


def test_a_retry_makes_the_same_bytes_and_other_images_make_other_objects(tmp_path: Path) -> None:
    inp = _input(tmp_path)
    first, again = build_scs(inp, DEFAULT, {}), build_scs(inp, DEFAULT, {})
    assert [_bytes(ds) for ds in first] == [_bytes(ds) for ds in again]
    uids = {ds.SOPInstanceUID for ds in first}
    others = {ds.SOPInstanceUID for ds in build_scs(replace(inp, input_digest="33" * 32), DEFAULT, {})}
    assert len(uids | others) == 4
    notes = build_scs(replace(inp, context_digest="44" * 32), DEFAULT, {})
    assert {ds.SOPInstanceUID for ds in notes} == uids


def test_the_disclaimer_is_burned_in_word_by_word(tmp_path: Path) -> None:
    pixels = _built(_input(tmp_path))[0].pixel_array
    band = pixels[768 + 2 :]
    face = font(19)
    lines = wrap(DISCLAIMER, face, pixels.shape[1] - 32)
    for number, line in enumerate(lines):
        step = 26
        mask = face.getmask(line, "L").size
        strip = band[16 - 2 + number * step : 16 - 2 + (number + 1) * step]
        ink = np.flatnonzero((strip == AMBER).all(axis=2).any(axis=0))
        assert ink.size
        assert ink.max() - ink.min() + 1 == pytest.approx(mask[0], abs=4)  # as wide as the line is
    assert " ".join(lines) == DISCLAIMER


def test_nothing_of_the_patient_is_burned_in(tmp_path: Path) -> None:
    def other(ds: Dataset) -> None:
        ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Other^Person", "Z", "19990909", "M"
        ds.StudyDate, ds.StudyTime, ds.AccessionNumber, ds.StudyID = "20200101", "000000", "ZZ", "9"
        ds.StudyDescription = ds.SeriesDescription = "other words"
        ds.InstitutionName = "Elsewhere"

    ours, theirs = _built(_input(tmp_path / "a")), _built(_input(tmp_path / "b", change=other))
    for one, another in zip(ours, theirs, strict=True):
        assert one.BurnedInAnnotation == "NO"
        assert one.PixelData == another.PixelData


def test_findings_are_written_beside_the_slice(tmp_path: Path) -> None:
    inp = _input(tmp_path)
    changed = Finding("hippocampus-anterior", HIPPOCAMPUS, (Measurement(VOLUME, 9.5, MILLILITRE),), None, 1)
    other = replace(inp, prediction=replace(inp.prediction, findings=(changed, *inp.prediction.findings[1:])))
    one, another = (_built(each)[0].pixel_array for each in (inp, other))
    assert (one[:768, :768] == another[:768, :768]).all()
    assert (one[:768, 768:] != another[:768, 768:]).any()


@pytest.mark.parametrize("findings", [(), (Finding("atrophy", HIPPOCAMPUS, text="Perhaps smaller."),)])
def test_where_no_slice_is_to_be_shown_one_picture_says_what_the_model_said(
    findings: tuple[Finding, ...], tmp_path: Path
) -> None:
    inp = _input(tmp_path, keys=(), prediction=Prediction(findings))
    [sc] = _built(inp)
    assert len(sc.SourceImageSequence) == 6
    assert not sc.PatientOrientation
    middle = sc.pixel_array[360:410, :768]
    assert middle.any()
    assert not sc.pixel_array[:340, :768].any()


texts = st.text(st.characters(exclude_categories=()), max_size=300)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=texts, said=texts, warning=st.text("W", max_size=3000), count=st.integers(1, 60))
def test_no_text_breaks_a_picture(name: str, said: str, warning: str, count: int, tmp_path: Path) -> None:
    finding = Finding("x", Code("1", "L", name), (Measurement(Code("1", "L", said), 1e9, MILLILITRE),), text=said)
    prediction = Prediction((finding,) * count, warnings=(warning,))
    inp = _input(tmp_path, keys=(), prediction=prediction)
    assert _built(inp)[0].pixel_array.shape == (852, 1190, 3)


def test_what_has_no_room_is_said_to_be_missing(tmp_path: Path) -> None:
    inp = _input(tmp_path)
    many = replace(inp, prediction=replace(inp.prediction, findings=inp.prediction.findings * 20))
    few, full = _built(inp)[0].pixel_array, _built(many)[0].pixel_array
    foot = np.s_[690:760, 768:]  # the column's end, where the note on what is missing stands
    assert not few[foot].any()
    assert (full[foot] == AMBER).all(axis=2).any()


@pytest.mark.peer
@pytest.mark.parametrize("keys", [(3, 1), ()])
def test_dciodvfy_finds_no_error(keys: tuple[int, ...], peer: Callable[[str], str], tmp_path: Path) -> None:
    for number, ds in enumerate(build_scs(_input(tmp_path / "in", keys=keys), DEFAULT, {})):
        path = tmp_path / f"{number}.dcm"
        ds.save_as(path, enforce_file_format=True)
        said = run(peer("dciodvfy"), str(path)).stderr
        assert said.startswith("SCImage")
        assert [line for line in said.splitlines() if line.startswith("Error")] == []


@pytest.mark.peer
def test_orthanc_lists_and_previews_it(peer: Callable[[str], str], tmp_path: Path) -> None:
    captures = build_scs(_input(tmp_path / "in"), DEFAULT, {})
    orthanc = Orthanc(peer("Orthanc"), tmp_path / "orthanc")
    try:
        address = f"http://127.0.0.1:{orthanc.http_port}/instances"
        for sc in captures:
            stored = httpx2.post(address, content=_bytes(sc)).json()["ID"]
            preview = Image.open(BytesIO(httpx2.get(f"{address}/{stored}/preview").content))
            assert preview.mode == "RGB"
            np.testing.assert_array_equal(np.asarray(preview), sc.pixel_array)
        [series] = orthanc.get("/series?expand")
        assert series["MainDicomTags"]["SeriesDescription"] == "SC Hippocampus segmentation"
        assert len(series["Instances"]) == 2
    finally:
        orthanc.stop()


@pytest.mark.data
@pytest.mark.peer
@pytest.mark.parametrize("series", ["Study1/13_HCropVolume", "Study2/14_HCropVolume"])
def test_captures_of_a_real_series_are_valid_and_of_one_study(
    series: str, real_data: Callable[[str], Path], peer: Callable[[str], str], tmp_path: Path
) -> None:
    paths = sorted((real_data("dicom-mr-brain-btp") / series).iterdir())
    loaded = read_series(paths)
    shape = loaded.volume.array.shape
    keys = tuple(KeySlice(k, loaded.volume.array[k]) for k in (shape[0] // 3, shape[0] // 2))
    built = build_scs(result_input(loaded.sources, shape, key_slices=keys), DEFAULT, {})
    files = []
    for number, sc in enumerate(built):
        grey = sc.pixel_array[:768, :768]
        assert grey.max() > 200  # a window in which all is black is not used
        files.append(str(tmp_path / f"{number}.dcm"))
        sc.save_as(files[-1], enforce_file_format=True)
        said = run(peer("dciodvfy"), files[-1]).stderr
        assert [line for line in said.splitlines() if line.startswith("Error")] == []
    entities = run(peer("dcentvfy"), *map(str, paths[:3]), *files)
    assert [line for line in (entities.stdout + entities.stderr).splitlines() if line.startswith("Error")] == []
