"""The presentation state draws what the model drew, on the images that it drew it on, in a window that shows them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pydicom.dataset import Dataset

from models.contracts import Finding, LabelArray, Prediction, Region, RegionKind
from tests.peers import run
from tests.workers.results.written import map_of, save, to_bytes, values_for, written
from tests.workers.synthetic import (
    HIPPOCAMPUS,
    ORIENTATIONS,
    SEGMENTS,
    Phantom,
    multi_frame,
    result_input,
    single_frames,
    write,
)
from workers.reading.volume.load import read_headers
from workers.results import build_all, outlines
from workers.results.common import DISCLAIMER, KeySlice, ResultInput
from workers.results.gsps import CAUTION, build_gsps
from workers.results.kos import build_kos
from workers.results.pm import build_pms
from workers.results.profile import DEFAULT
from workers.results.validate import errors, validate, validate_together

ORDER = [3, 0, 5, 1, 4, 2]
Mask = npt.NDArray[np.bool_]


def _input(folder: Path, instances: Sequence[Dataset], change: Callable[[Dataset], None] | None = None) -> ResultInput:
    return result_input(read_headers(write(folder, instances, change)), Phantom().shape)


def _labels(inp: ResultInput) -> LabelArray:
    labels = inp.prediction.labels
    assert labels is not None
    return labels


def _with(inp: ResultInput, *regions: Region) -> ResultInput:
    """Nothing drawn but one finding with ``regions``."""
    finding = Finding("lesion", HIPPOCAMPUS, regions=regions)
    return replace(inp, prediction=Prediction((finding,)))


def _build(inp: ResultInput) -> Dataset:
    [gsps] = build_gsps(inp, DEFAULT, {})
    return gsps


def _filled(lines: Sequence[npt.NDArray[np.float64]], shape: tuple[int, int]) -> Mask:
    """Pixels whose centres lie within the lines (even-odd rule), written from the rule, not from a library."""
    row, column = np.mgrid[: shape[0], : shape[1]] + 0.5
    inside = np.zeros(shape, dtype=bool)
    for line in lines:
        for (x0, y0), (x1, y1) in pairwise(line):
            if y0 != y1:
                inside ^= ((y0 > row) != (y1 > row)) & (column < (x1 - x0) * (row - y0) / (y1 - y0) + x0)
    return inside


def _points(graphic: Dataset) -> npt.NDArray[np.float64]:
    return np.array(graphic.GraphicData, dtype=float).reshape(-1, 2)


def _drawn(gsps: Dataset, slice_of: Callable[[Dataset], int]) -> LabelArray:
    """Labels ``[slice, row, column]`` that the outlines of layers SEGMENT n enclose."""
    labels = np.zeros(Phantom().shape, dtype=np.uint8)
    for annotation in gsps.GraphicAnnotationSequence:
        [image] = annotation.ReferencedImageSequence
        mask = _filled([_points(item) for item in annotation.GraphicObjectSequence], Phantom().shape[1:])
        labels[slice_of(image)][mask] = int(annotation.GraphicLayer.removeprefix("SEGMENT "))
    return labels


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_outlines_enclose_the_pixels_of_the_mask_and_no_other(mask: Mask) -> None:
    lines = outlines.outlines(mask)
    np.testing.assert_array_equal(_filled(lines, mask.shape), mask)
    for line in lines:
        assert (line[0] == line[-1]).all()
        assert line.min() >= 0
        assert (line.max(axis=0) <= mask.shape[::-1]).all()


def test_an_outline_that_no_attribute_can_hold_is_cut() -> None:
    comb = np.zeros((2203, 5), dtype=bool)
    comb[1:-1, 2] = comb[1:-1:2, 1:4] = True
    lines = outlines.outlines(comb)
    assert len(lines) > 1
    assert max(len(line) for line in lines) * 2 * 4 <= 0xFFFF  # 32-bit coordinates, 16-bit length
    np.testing.assert_array_equal(_filled(lines, comb.shape), comb)


def test_noise_is_not_outlined_speck_by_speck() -> None:
    specks = np.zeros((60, 60), dtype=bool)
    specks[::3, ::3] = True
    specks[20:40, 20:40] = True
    lines = outlines.outlines(specks)
    assert len(lines) == outlines.MAX_OUTLINES < 400
    assert _filled(lines, specks.shape)[20:40, 20:40].all()


def test_each_segment_is_outlined_on_every_image_that_it_touches(tmp_path: Path) -> None:
    inp = _input(tmp_path, single_frames(Phantom(cosines=ORIENTATIONS["oblique"]))[::-1])
    gsps = written(_build(inp))
    index = {str(ds.SOPInstanceUID): k for k, ds in enumerate(inp.sources)}
    found = _drawn(gsps, lambda image: index[str(image.ReferencedSOPInstanceUID)])
    np.testing.assert_array_equal(found, _labels(inp))
    [series] = gsps.ReferencedSeriesSequence
    touched = [str(inp.sources[k].SOPInstanceUID) for k in np.flatnonzero(_labels(inp).any(axis=(1, 2)))]
    assert [str(item.ReferencedSOPInstanceUID) for item in series.ReferencedImageSequence] == touched


def test_of_an_enhanced_image_each_frame_has_its_own_outlines(tmp_path: Path) -> None:
    inp = _input(tmp_path, [multi_frame(Phantom(), ORDER)])
    gsps = written(_build(inp))
    found = _drawn(gsps, lambda image: ORDER[int(image.ReferencedFrameNumber) - 1])
    np.testing.assert_array_equal(found, _labels(inp))
    [image] = gsps.ReferencedSeriesSequence[0].ReferencedImageSequence
    assert image.ReferencedSOPInstanceUID == inp.image.SOPInstanceUID


def test_each_segment_has_a_layer_with_its_colour_and_one_label_that_says_what_it_is(tmp_path: Path) -> None:
    gsps = written(_build(_input(tmp_path, single_frames(Phantom()))))
    layers = {item.GraphicLayer: item for item in gsps.GraphicLayerSequence}
    assert [item.GraphicLayerDescription for item in layers.values()] == [spec.name for spec in SEGMENTS]
    assert len({tuple(item.GraphicLayerRecommendedDisplayCIELabValue) for item in layers.values()}) == 2
    texts = [(item.GraphicLayer, text.UnformattedTextValue) for item in gsps.GraphicAnnotationSequence
             for text in item.get("TextObjectSequence", [])]  # fmt: skip
    assert sorted(texts) == [(f"SEGMENT {n}", f"{spec.name}\r\n{CAUTION}") for n, spec in enumerate(SEGMENTS, 1)]


def test_outlines_are_tracked_under_the_names_that_segmentation_and_report_give(tmp_path: Path) -> None:
    inp = _input(tmp_path, single_frames(Phantom()))
    [seg] = build_all(inp)["seg"]
    for annotation in written(_build(inp)).GraphicAnnotationSequence:
        segment = seg.SegmentSequence[int(annotation.GraphicLayer.removeprefix("SEGMENT ")) - 1]
        for item in annotation.GraphicObjectSequence:
            assert (item.TrackingID, item.TrackingUID) == (segment.TrackingID, segment.TrackingUID)


def test_points_and_lines_of_findings_are_drawn_on_the_slice_that_they_lie_in(tmp_path: Path) -> None:
    phantom = Phantom(cosines=ORIENTATIONS["oblique"])
    inp = _input(tmp_path, single_frames(phantom))

    def at(k: float, r: float, c: float) -> tuple[float, float, float]:
        x, y, z = (float(v) for v in (phantom.affine @ [k, r, c, 1])[:3])
        return x, y, z

    line = Region(RegionKind.POLYLINE, (at(2, 3, 4), at(2.3, 8, 6)))
    across = Region(RegionKind.POLYLINE, (at(1, 3, 4), at(3, 8, 6)))
    points = Region(RegionKind.MULTIPOINT, (at(0, 1, 1), at(5, 11, 9), at(5, 11, 12), at(7, 1, 1)))
    ellipse = Region(RegionKind.ELLIPSE, (at(4, 5, 1), at(4, 5, 7), at(4, 3, 4), at(4, 7, 4)))
    gsps = written(_build(_with(inp, line, across, points, ellipse)))
    index = {str(ds.SOPInstanceUID): k for k, ds in enumerate(inp.sources)}
    found = {
        index[str(item.ReferencedImageSequence[0].ReferencedSOPInstanceUID)]: item.GraphicObjectSequence
        for item in gsps.GraphicAnnotationSequence
    }
    assert sorted(found) == [0, 2, 4, 5]
    assert [(item.GraphicType, len(item.GraphicData)) for item in found[0]] == [("POINT", 2)]
    np.testing.assert_allclose(_points(found[0][0]), [[1.5, 1.5]], atol=1e-3)
    np.testing.assert_allclose(_points(found[5][0]), [[9.5, 11.5]], atol=1e-3)
    np.testing.assert_allclose(_points(found[2][0]), [[4.5, 3.5], [6.5, 8.5]], atol=1e-3)
    around = _points(found[4][0]) - [4.5, 5.5]
    np.testing.assert_allclose((around[:, 0] / 3) ** 2 + (around[:, 1] / 2) ** 2, 1, atol=1e-3)
    assert not build_gsps(_with(inp, across), DEFAULT, {})


def test_the_window_is_the_sources_own_if_it_fits_the_pixels(tmp_path: Path) -> None:
    def windowed(ds: Dataset) -> None:
        ds.WindowCenter, ds.WindowWidth = [40, 500], [400, 2000]

    inp = _input(tmp_path, single_frames(Phantom()), windowed)
    for slices in ((), (KeySlice(2, np.linspace(-200, 300, 120, dtype=np.float32).reshape(12, 10)),)):
        [voi] = written(_build(replace(inp, key_slices=slices))).SoftcopyVOILUTSequence
        assert (float(voi.WindowCenter), float(voi.WindowWidth)) == (40, 400)
    dark = KeySlice(2, np.linspace(0, 50, 120, dtype=np.float32).reshape(12, 10))
    [voi] = written(_build(replace(inp, key_slices=(dark,)))).SoftcopyVOILUTSequence
    assert float(voi.WindowCenter) == pytest.approx(25, abs=0.5)
    assert float(voi.WindowWidth) == pytest.approx(49, abs=0.5)


def test_windows_that_differ_from_image_to_image_are_given_for_each(tmp_path: Path) -> None:
    def windowed(ds: Dataset) -> None:
        ds.WindowCenter, ds.WindowWidth = 100 * int(ds.InstanceNumber), 400

    inp = _input(tmp_path, single_frames(Phantom()), windowed)
    found = {
        str(image.ReferencedSOPInstanceUID): float(voi.WindowCenter)
        for voi in written(_build(inp)).SoftcopyVOILUTSequence
        for image in voi.ReferencedImageSequence
    }
    touched = np.flatnonzero(_labels(inp).any(axis=(1, 2)))
    assert found == {str(inp.sources[k].SOPInstanceUID): 100.0 * (k + 1) for k in touched}


def test_a_source_without_window_or_pixels_gets_none(tmp_path: Path) -> None:
    assert "SoftcopyVOILUTSequence" not in _build(_input(tmp_path, single_frames(Phantom())))


def test_the_modality_lut_is_the_sources_and_windows_are_in_its_values(tmp_path: Path) -> None:
    frames = multi_frame(Phantom(slope=2.0, intercept=-1000.0), ORDER)
    window = Dataset()
    window.WindowCenter, window.WindowWidth = 40, 400
    frames.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence = [window]
    gsps = written(_build(_input(tmp_path, [frames])))
    assert (float(gsps.RescaleSlope), float(gsps.RescaleIntercept), gsps.RescaleType) == (2, -1000, "US")
    [voi] = gsps.SoftcopyVOILUTSequence
    assert (float(voi.WindowCenter), float(voi.WindowWidth)) == (40, 400)


def test_where_each_slice_has_its_own_slope_windows_are_in_stored_values(tmp_path: Path) -> None:
    def scaled(ds: Dataset) -> None:
        ds.RescaleSlope, ds.RescaleIntercept = int(ds.InstanceNumber), 10
        ds.WindowCenter, ds.WindowWidth = 610, 1200

    inp = _input(tmp_path, single_frames(Phantom()), scaled)
    gsps = written(_build(inp))
    assert "RescaleSlope" not in gsps
    number = {str(ds.SOPInstanceUID): int(ds.InstanceNumber) for ds in inp.sources}
    for voi in gsps.SoftcopyVOILUTSequence:
        [image] = voi.ReferencedImageSequence
        slope = number[str(image.ReferencedSOPInstanceUID)]
        assert float(voi.WindowCenter) == pytest.approx(600 / slope)
        assert float(voi.WindowWidth) == pytest.approx(1200 / slope)


def test_it_says_how_large_pixels_are_that_are_not_square_and_what_it_is_not(tmp_path: Path) -> None:
    gsps = written(_build(_input(tmp_path, single_frames(Phantom()))))
    [area] = gsps.DisplayedAreaSelectionSequence
    assert [float(v) for v in area.PresentationPixelSpacing] == [0.75, 1.25]
    assert "PresentationPixelAspectRatio" not in area
    assert list(area.DisplayedAreaBottomRightHandCorner) == [10, 12]
    assert DISCLAIMER in [item.get("ContributionDescription") for item in gsps.ContributingEquipmentSequence]
    assert (gsps.PatientID, gsps.StudyDescription, int(gsps.SeriesNumber)) == ("P-1", "Kopf", 10055)


def test_what_draws_nothing_has_no_presentation_state_and_a_retry_makes_the_same_bytes(tmp_path: Path) -> None:
    inp = _input(tmp_path, single_frames(Phantom()))
    assert not build_gsps(replace(inp, prediction=Prediction((), _labels(inp) * 0, SEGMENTS)), DEFAULT, {})
    assert to_bytes(_build(inp)) == to_bytes(_build(inp))
    assert _build(replace(inp, input_digest="33" * 32)).SOPInstanceUID != _build(inp).SOPInstanceUID


@pytest.mark.parametrize("enhanced", [False, True])
def test_dciodvfy_and_dcmpschk_find_no_error(enhanced: bool, peer: Callable[[str], str], tmp_path: Path) -> None:
    peer("dciodvfy")
    instances = [multi_frame(Phantom(), ORDER)] if enhanced else single_frames(Phantom())
    path = save(_build(_input(tmp_path / "source", instances)), tmp_path / "gsps.dcm")
    assert errors(validate(path)) == []
    done = run(peer("dcmpschk"), str(path))
    assert done.returncode == 0
    assert "Test passed" in done.stderr


@pytest.mark.parametrize("enhanced", [False, True])
def test_dcmtk_shows_the_image_in_the_window_and_finds_its_outlines(
    enhanced: bool, peer: Callable[[str], str], tmp_path: Path
) -> None:
    phantom, k = Phantom(slope=2.0, intercept=-100.0), 2
    instances = [multi_frame(phantom, ORDER)] if enhanced else single_frames(phantom)
    paths = write(tmp_path / "source", instances)
    modality_values = (phantom.stored * 2.0 - 100.0).astype(np.float32)
    inp = result_input(read_headers(paths), phantom.shape, key_slices=(KeySlice(k, modality_values[k]),))
    state, picture = save(_build(inp), tmp_path / "gsps.dcm"), tmp_path / "shown.pgm"
    image, frame = (paths[0], ORDER.index(k) + 1) if enhanced else (paths[k], 1)
    done = run(peer("dcmp2pgm"), "-v", "-f", str(frame), "-p", str(state), str(image), str(picture))
    assert done.returncode == 0
    low, high = np.percentile(modality_values[k], (1, 99))
    expected = np.clip((modality_values[k] - low) / (high - low), 0, 1) * 255
    assert np.abs(np.asarray(Image.open(picture), dtype=float) - expected).max() < 1.5
    lines = [
        np.array([[float(v) for v in point.split("\\")] for point in found.strip(" ,").split(", ")])
        for found in re.findall(r"coordinates: (.*)", done.stderr)
    ]
    dumped = ORDER[0] if enhanced else k  # it tells of the first frame, whichever it shows
    np.testing.assert_array_equal(_filled(lines, phantom.shape[1:]), _labels(inp)[dumped] > 0)


def test_dcentvfy_finds_all_results_and_images_of_one_study(peer: Callable[[str], str], tmp_path: Path) -> None:
    peer("dcentvfy")
    paths = write(tmp_path / "source", single_frames(Phantom()))
    inp = result_input(read_headers(paths), Phantom().shape)
    inp = replace(inp, prediction=replace(inp.prediction, maps=(map_of(values_for(Phantom().shape)),)))
    built = [ds for objects in build_all(inp, kinds=("seg", "sr")).values() for ds in objects]
    built += [ds for build in (build_pms, build_kos, build_gsps) for ds in build(inp, DEFAULT, {})]
    assert sorted(str(ds.Modality) for ds in built) == ["KO", "OT", "PR", "SEG", "SR"]
    files = [save(ds, tmp_path / f"{number}.dcm") for number, ds in enumerate(built)]
    assert errors(validate_together([*files, *paths])) == []
