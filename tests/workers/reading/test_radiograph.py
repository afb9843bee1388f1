"""A radiograph on disk becomes the picture that a viewer shows first, and the right one of several is read."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForProcessing,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from models.contracts import InputDeclined, InputKind, Prediction
from tests.workers.reading.radiographs import ANY, FRONTAL, lut, pixels, radiograph, save
from workers.errors import SeriesRefused
from workers.reading import inputs
from workers.reading.radiograph.load import MAX_PIXELS, read_radiograph, read_radiograph_headers

WINDOW: dict[str, Any] = {"WindowCenter": 2000, "WindowWidth": 1000}
ALL_BITS = 4095


def shown(folder: Path, ds: Dataset) -> npt.NDArray[np.float32]:
    return read_radiograph(save(folder, ds), ANY).source.array


def linear(x: npt.NDArray[Any], centre: float, width: float) -> npt.NDArray[np.float64]:
    """PS3.3 C.11.2.1.2.1 as it is written there, for ymin 0 and ymax 1."""
    low, high = centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
    between = ((x - (centre - 0.5)) / (width - 1) + 0.5) if width > 1 else np.zeros_like(x, dtype=float)
    return np.where(x <= low, 0.0, np.where(x > high, 1.0, between))


def test_a_window_makes_grey_values_between_black_and_white(tmp_path: Path) -> None:
    loaded = read_radiograph(save(tmp_path, radiograph(**WINDOW)), ANY)
    assert loaded.source.array.dtype == np.float32
    np.testing.assert_allclose(loaded.source.array, linear(pixels(), 2000, 1000), atol=1e-6)
    assert (loaded.source.modality, loaded.source.view, loaded.warnings) == ("DX", "PA", ())
    assert loaded.source.spacing_mm == (0.15, 0.2)


def test_monochrome1_is_shown_the_other_way_round(tmp_path: Path) -> None:
    ds = radiograph(**WINDOW, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE")
    np.testing.assert_allclose(shown(tmp_path, ds), 1 - linear(pixels(), 2000, 1000), atol=1e-6)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("LINEAR_EXACT", lambda x: np.clip((x - 2000) / 1000 + 0.5, 0, 1)),
        ("SIGMOID", lambda x: 1 / (1 + np.exp(-4 * (x - 2000) / 1000))),
    ],
)
def test_the_other_window_functions_are_those_of_the_standard(
    function: str, expected: Callable[[npt.NDArray[Any]], npt.NDArray[Any]], tmp_path: Path
) -> None:
    ds = radiograph(**WINDOW, VOILUTFunction=function)
    np.testing.assert_allclose(shown(tmp_path, ds), expected(pixels().astype(float)), atol=1e-6)


@given(centre=st.integers(-3000, 8000), width=st.integers(1, 9000), low=st.sampled_from([0, -2048]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_window_on_any_values_stays_between_0_and_1(centre: int, width: int, low: int, tmp_path: Path) -> None:
    ds = radiograph(stored=pixels(low=low), WindowCenter=centre, WindowWidth=width, PixelRepresentation=int(low < 0))
    np.testing.assert_allclose(shown(tmp_path, ds), linear(pixels(low=low), centre, width), atol=1e-5)


def test_of_several_windows_the_first_is_meant(tmp_path: Path) -> None:
    ds = radiograph(WindowCenter=[2000, 10], WindowWidth=[1000, 20])
    np.testing.assert_allclose(shown(tmp_path, ds), linear(pixels(), 2000, 1000), atol=1e-6)


def test_the_window_is_of_modality_values(tmp_path: Path) -> None:
    ds = radiograph(WindowCenter=0, WindowWidth=2000, RescaleSlope=0.5, RescaleIntercept=-1000)
    np.testing.assert_allclose(shown(tmp_path, ds), linear(pixels() * 0.5 - 1000, 0, 2000), atol=1e-6)


def test_a_modality_lut_comes_before_the_window(tmp_path: Path) -> None:
    table = (np.arange(4096) ** 2 // 4096).tolist()
    ds = radiograph(**WINDOW, ModalityLUTSequence=[lut(table, 0)])
    np.testing.assert_allclose(shown(tmp_path, ds), linear(np.array(table)[pixels()], 2000, 1000), atol=1e-6)


def test_a_voi_lut_goes_before_a_window(tmp_path: Path) -> None:
    table = (np.sqrt(np.arange(4096) / 4095) * 1023).astype(int).tolist()
    ds = radiograph(**WINDOW, VOILUTSequence=[lut(table, 0, bits=10)])
    np.testing.assert_allclose(shown(tmp_path, ds), np.array(table)[pixels()] / 1023, atol=1e-6)


def test_values_outside_a_voi_lut_get_its_first_and_last_entry(tmp_path: Path) -> None:
    table = list(range(100, 1100))
    ds = radiograph(VOILUTSequence=[lut(table, 1000, bits=12)])
    expected = np.array(table)[np.clip(pixels() - 1000, 0, 999)] / 4095
    np.testing.assert_allclose(shown(tmp_path, ds), expected, atol=1e-6)


def test_a_voi_lut_of_signed_values_may_begin_below_zero(tmp_path: Path) -> None:
    table = list(range(4096))
    ds = radiograph(
        stored=pixels(low=-2048), PixelRepresentation=1, VOILUTSequence=[lut(table, -2048, bits=12, vr="SS")]
    )
    np.testing.assert_allclose(shown(tmp_path, ds), pixels() / 4095, atol=1e-6)


def test_a_table_of_bytes_with_more_entries_than_256_does_not_overflow(tmp_path: Path) -> None:
    item = lut([0] * 4096, 0, bits=8)
    item.LUTData = (np.arange(4096) // 16).astype(np.uint8).tobytes()
    np.testing.assert_allclose(shown(tmp_path, radiograph(VOILUTSequence=[item])), (pixels() // 16) / 255, atol=1e-6)


def test_tables_and_padding_of_implicit_vr_are_read_too(tmp_path: Path) -> None:
    table = (np.arange(4096)[::-1]).tolist()
    ds = radiograph(VOILUTSequence=[lut(table, 0, bits=12)], PixelPaddingValue=ALL_BITS)
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    expected = (4095 - pixels()) / 4095
    expected[pixels() == ALL_BITS] = 0
    np.testing.assert_allclose(shown(tmp_path, ds), expected, atol=1e-6)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_does_not_set_the_window(photometric: str, tmp_path: Path) -> None:
    stored = np.clip(pixels(), 1000, 3000)
    stored[:, :4], stored[0, 4] = 4000, 4095
    ds = radiograph(
        stored=stored,
        PixelPaddingValue=4000,
        PixelPaddingRangeLimit=4095,
        PhotometricInterpretation=photometric,
    )
    array = shown(tmp_path, ds)
    grey = (stored - 1000) / 2000
    expected = 1 - grey if photometric == "MONOCHROME1" else grey
    expected[:, :4] = expected[0, 4] = 0
    np.testing.assert_allclose(array, expected, atol=1e-6)


def test_an_image_without_a_window_is_shown_in_full_and_says_so(tmp_path: Path) -> None:
    loaded = read_radiograph(save(tmp_path, radiograph(stored=pixels() // 2 + 100)), ANY)
    assert (loaded.source.array.min(), loaded.source.array.max()) == (0.0, 1.0)
    assert loaded.bring_back(Prediction(())).warnings[0].startswith("The image gives no window")


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless],
)
def test_every_transfer_syntax_gives_the_same_picture(syntax: str, tmp_path: Path) -> None:
    ds = radiograph(**WINDOW)
    expected = linear(pixels(), 2000, 1000)
    if syntax in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        ds.file_meta.TransferSyntaxUID = UID(syntax)
    else:
        ds.compress(syntax, generate_instance_uid=False)
    np.testing.assert_allclose(shown(tmp_path, ds), expected, atol=1e-6)


@pytest.mark.parametrize("option", ["+e1", "+eb", "+ee"])
def test_jpeg_made_by_dcmtk_is_read(option: str, tmp_path: Path, peer: Callable[[str], str]) -> None:
    smooth = (np.linspace(0, 1, 64)[:, None] * np.linspace(0, 250, 64)[None, :]).astype(np.int64)
    bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "WindowCenter": 128, "WindowWidth": 256}
    (path,) = save(tmp_path, radiograph(stored=smooth, **bits))
    compressed = tmp_path / "jpeg.dcm"
    subprocess.run([peer("dcmcjpeg"), option, str(path), str(compressed)], check=True, capture_output=True)
    loaded = read_radiograph([compressed], ANY)
    lossy = option != "+e1"
    np.testing.assert_allclose(loaded.source.array, linear(smooth, 128, 256), atol=4 / 255 if lossy else 1e-6)
    assert bool(loaded.warnings) == lossy


CASES: dict[str, dict[str, Any]] = {
    "window": WINDOW,
    "narrow window": {"WindowCenter": 2000.5, "WindowWidth": 2},
    "inverse": {**WINDOW, "PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    "identity": {**WINDOW, "PresentationLUTShape": "IDENTITY"},
    "sigmoid": {**WINDOW, "VOILUTFunction": "SIGMOID"},
    "rescaled": {"WindowCenter": 0, "WindowWidth": 2000, "RescaleSlope": 0.5, "RescaleIntercept": -1000},
    "modality lut": {**WINDOW, "ModalityLUTSequence": [lut((np.arange(4096) ** 2 // 4096).tolist(), 0)]},
    "voi lut": {"VOILUTSequence": [lut((np.sqrt(np.arange(4096) / 4095) * 4095).astype(int).tolist(), 0, bits=12)]},
    "voi lut, inverse": {
        "VOILUTSequence": [lut(list(range(1000, 3000)), 500, bits=12)],
        "PhotometricInterpretation": "MONOCHROME1",
        "PresentationLUTShape": "INVERSE",
    },
}


@pytest.mark.parametrize("name", CASES)
def test_dcmtk_shows_the_same_picture(name: str, tmp_path: Path, peer: Callable[[str], str]) -> None:
    program = peer("dcmj2pnm")
    (path,) = save(tmp_path, radiograph(**CASES[name]))
    option = "+Wl" if "VOILUTSequence" in CASES[name] else "+Wi"
    _agrees(program, path, option)


def _agrees(program: str, path: Path, option: str) -> None:
    made = path.with_suffix(".pgm")
    command = [program, "+opw", option, "1", str(path), str(made)]
    subprocess.run(command, check=True, capture_output=True)
    words = made.read_text().split()
    columns, rows, top = (int(word) for word in words[1:4])
    theirs = np.array(words[4:], dtype=float).reshape(rows, columns) / top
    ours = read_radiograph([path], ANY).source.array
    assert np.abs(theirs - ours).max() < 1 / 1000  # they compute a window in whole steps of its width


@pytest.mark.data
def test_dcmtk_shows_real_radiographs_the_same_way(
    tmp_path: Path, peer: Callable[[str], str], real_data: Callable[[str], Path]
) -> None:
    program, read = peer("dcmj2pnm"), 0
    files = [real_data("dicom-highdicom") / "dx_image.dcm"]
    files += sorted((real_data("dicom-pydicom") / "test_files" / "dicomdirtests" / "77654033").glob("CR*/*"))
    for number, file in enumerate(files):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(file.read_bytes())
        _agrees(program, path, "+Wi")
        read += 1
    assert read >= 4


def test_the_frontal_image_of_a_series_is_read(tmp_path: Path) -> None:
    left, right = (radiograph(number, ViewPosition=view) for number, view in ((1, "LL"), (3, "RL")))
    loaded = read_radiograph(save(tmp_path, left, radiograph(2, **WINDOW), right), FRONTAL)
    assert [int(ds.InstanceNumber) for ds in loaded.sources] == [2]
    assert (loaded.source.view, loaded.warnings) == ("PA", ())


def test_of_several_frontal_images_the_last_is_read_with_a_warning(tmp_path: Path) -> None:
    paths = save(tmp_path, radiograph(2, ViewPosition="AP", **WINDOW), radiograph(9, **WINDOW), radiograph(3, **WINDOW))
    loaded = read_radiograph(paths, FRONTAL)
    assert [int(ds.InstanceNumber) for ds in loaded.sources] == [9]
    assert loaded.warnings == ("The series has 3 images of this kind: the one acquired last was read.",)
    headers = read_radiograph_headers(paths[::-1], FRONTAL)
    assert [ds.SOPInstanceUID for ds in headers] == [ds.SOPInstanceUID for ds in loaded.sources]
    assert "PixelData" not in headers[0]
    assert "PixelData" not in loaded.sources[0]


def test_images_made_from_others_come_after_those_that_were_taken(tmp_path: Path) -> None:
    marked = radiograph(9, ImageType=["DERIVED", "SECONDARY"], **WINDOW)
    loaded = read_radiograph(save(tmp_path, radiograph(1, **WINDOW), marked), FRONTAL)
    assert [int(ds.InstanceNumber) for ds in loaded.sources] == [1]


def test_of_several_body_parts_the_one_of_the_card_is_read(tmp_path: Path) -> None:
    paths = save(tmp_path, radiograph(1, **WINDOW), radiograph(2, BodyPartExamined="PELVIS", **WINDOW))
    assert read_radiograph(paths, FRONTAL).source.attributes["BodyPartExamined"] == "CHEST"


def code(value: str) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", "view"
    return [item]


@pytest.mark.parametrize(
    ("changes", "view"),
    [
        ({"ViewPosition": "AP "}, "AP"),
        ({"ViewCodeSequence": code("272479007")}, "PA"),
        ({"ViewCodeSequence": code("R-10206")}, "AP"),
        ({"ViewCodeSequence": code("399067008")}, "LATERAL"),
        ({"PatientOrientation": ["L", "F"]}, "FRONTAL"),
        ({"PatientOrientation": ["P", "F"]}, "LATERAL"),
        ({"SeriesDescription": "Chest PA upright"}, "PA"),
        ({"SeriesDescription": "Chest AP/LAT"}, ""),
        ({"SeriesDescription": "Thorax p.a."}, "PA"),
        ({"SeriesDescription": "Thorax seitl."}, "LATERAL"),
        ({"SeriesDescription": "PARTS", "AcquisitionDeviceProcessingDescription": "CHEST,LAT"}, "LATERAL"),
        ({"SeriesDescription": "Chest PA", "PatientOrientation": ["A", "F"]}, "LATERAL"),
        ({}, ""),
    ],
)
def test_the_view_is_told_by_what_the_header_has(changes: dict[str, Any], view: str, tmp_path: Path) -> None:
    ds = radiograph(**{"ViewPosition": None, **changes}, **WINDOW)
    assert read_radiograph(save(tmp_path, ds), ANY).source.view == view


def test_a_frontal_image_of_unknown_direction_is_read_by_a_model_of_both(tmp_path: Path) -> None:
    paths = save(tmp_path, radiograph(ViewPosition=None, PatientOrientation=["L", "F"], **WINDOW))
    assert read_radiograph(paths, FRONTAL).source.view == "FRONTAL"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ViewPosition": "LL"}, r"only lateral images \(LL\); this model reads AP or PA"),
        ({"ViewPosition": "RAO"}, r"only images of other views \(RAO\)"),
        ({"SOPClassUID": DigitalXRayImageStorageForProcessing}, "raw detector data"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "raw detector data"),
        ({"SOPClassUID": MRImageStorage}, "no radiograph"),
        ({"SOPClassUID": SecondaryCaptureImageStorage, "Modality": "OT"}, "no radiograph"),
        ({"NumberOfFrames": 2}, "2 frames"),
        ({"SamplesPerPixel": 3}, "3 samples per pixel"),
        ({"Rows": 70}, "shorter than rows"),
        ({"BitsStored": 17}, "Bits Stored"),
        ({"WindowCenter": 1, "WindowWidth": 1, "VOILUTFunction": "CURVED"}, "VOI LUT Function"),
        ({"StudyInstanceUID": None}, "StudyInstanceUID is missing"),
        ({"VOILUTSequence": [lut([1, 2, 3], 0, bits=40)]}, "LUT Descriptor"),
    ],
)
def test_what_is_no_readable_radiograph_is_refused_with_the_reason(
    changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(SeriesRefused, match=reason):
        read_radiograph(save(tmp_path, radiograph(**changes)), FRONTAL)


def test_a_table_that_is_shorter_than_it_says_is_refused(tmp_path: Path) -> None:
    item = lut([1, 2, 3], 0)
    item.LUTDescriptor = [4000, 0, 16]
    with pytest.raises(SeriesRefused, match="LUT Data is shorter"):
        shown(tmp_path, radiograph(VOILUTSequence=[item]))


def test_a_hostile_size_is_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    with pytest.raises(SeriesRefused, match=f"more than {MAX_PIXELS}"):
        shown(tmp_path, radiograph(Rows=65535, Columns=65535))


def test_a_raw_image_beside_one_for_presentation_is_left_alone(tmp_path: Path) -> None:
    raw = radiograph(9, SOPClassUID=DigitalXRayImageStorageForProcessing)
    loaded = read_radiograph(save(tmp_path, raw, radiograph(1, **WINDOW)), FRONTAL)
    assert [int(ds.InstanceNumber) for ds in loaded.sources] == [1]


def test_a_secondary_capture_of_a_radiograph_is_read(tmp_path: Path) -> None:
    ds = radiograph(SOPClassUID=SecondaryCaptureImageStorage, Modality="CR", ViewPosition="AP")
    assert read_radiograph(save(tmp_path, ds), FRONTAL).source.modality == "CR"


def test_the_body_part_may_stand_as_a_code(tmp_path: Path) -> None:
    ds = radiograph(BodyPartExamined=None, AnatomicRegionSequence=code("51185008"), **WINDOW)
    assert read_radiograph(save(tmp_path, ds), FRONTAL).source.attributes["BodyPartExamined"] == "CHEST"


def test_the_calibrated_spacing_goes_before_that_at_the_detector(tmp_path: Path) -> None:
    ds = radiograph(PixelSpacing=[0.1, 0.12], **WINDOW)
    assert read_radiograph(save(tmp_path, ds), ANY).source.spacing_mm == (0.1, 0.12)
    ds = radiograph(ImagerPixelSpacing=None, **WINDOW)
    assert read_radiograph(save(tmp_path, ds), ANY).source.spacing_mm is None


@given(at=st.integers(132, 1500), value=st.binary(min_size=1, max_size=6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_read_or_refused_and_nothing_else(at: int, value: bytes, tmp_path: Path) -> None:
    (path,) = save(tmp_path, radiograph(**WINDOW, VOILUTSequence=[lut(list(range(64)), 0)]))
    data = bytearray(path.read_bytes())
    data[at : at + len(value)] = value
    path.write_bytes(data)
    try:
        array = read_radiograph([path], ANY).source.array
    except InputDeclined:
        return
    assert np.isfinite(array).all()
    assert array.min() >= 0
    assert array.max() <= 1


def test_the_table_of_readers_reads_radiographs(tmp_path: Path) -> None:
    paths = save(tmp_path, radiograph(**WINDOW))
    loaded = inputs.read(paths, FRONTAL)
    assert FRONTAL.kind is InputKind.RADIOGRAPH
    assert loaded.planes
    assert inputs.headers(paths, FRONTAL)[0].SOPInstanceUID == dcmread(paths[0]).SOPInstanceUID
