"""Headers as scanners really write them make results all the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from tests.workers.stacks import Frame, Uneven, enhanced
from tests.workers.synthetic import ORIENTATIONS, Phantom, multi_frame, result_input, single_frames, write
from workers.reading.instances import quiet
from workers.reading.volume.load import read_headers, read_series
from workers.results import build_all
from workers.results.headers import grid, pixel_measures, plane_orientation, prepare


@pytest.mark.parametrize(
    ("tag", "vr", "value", "keyword", "expected"),
    [
        (0x00100010, "PN", b"Doe^Jane\\Doe^J ", "PatientName", "Doe^Jane"),
        (0x00080090, "PN", b"Ref^A\\Ref^B ", "ReferringPhysicianName", "Ref^A"),
        (0x00180050, "DS", b"1,0 ", "SeriesNumber", "10051"),
        (0x00180050, "DS", b"1.0\\2.0 ", "SeriesNumber", "10051"),
        (0x00200011, "IS", b"5a", "SeriesNumber", "10001"),
        (0x00200011, "IS", b"5\\6 ", "SeriesNumber", "10001"),
    ],
)
def test_a_value_that_is_none_of_its_kind_keeps_no_result_from_being_built(
    tag: int, vr: str, value: bytes, keyword: str, expected: str, tmp_path: Path
) -> None:
    with quiet():
        frames = single_frames(Phantom())
        for frame in frames:
            frame.SeriesNumber = 5
            frame[Tag(tag)] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)
        sources = read_series(write(tmp_path, frames)).sources
        [seg] = build_all(result_input(sources, Phantom().shape))["seg"]
    assert str(seg[keyword].value) == expected
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SliceThickness > 0


def test_slice_thickness_of_an_enhanced_image_is_that_of_its_pixel_measures(tmp_path: Path) -> None:
    phantom = Phantom()
    sources = read_series(write(tmp_path, [multi_frame(phantom, range(6))])).sources
    measures = pixel_measures(sources[0], grid(sources)[0])
    assert (measures[0].SliceThickness, measures[0].SpacingBetweenSlices) == (2, 2.5)
    del sources[0].SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness
    assert pixel_measures(sources[0], grid(sources)[0])[0].SliceThickness == 2.5


def test_what_highdicom_is_given_of_several_stacks_in_one_image_is_the_orientation_of_the_one_that_is_read(
    tmp_path: Path,
) -> None:
    axial = Uneven([0, 2.5, 5, 7.5, 10], cosines=ORIENTATIONS["axial"])
    other = replace(axial, cosines=ORIENTATIONS["sagittal"], heights=[0, 2.5, 5])
    frames = [*(Frame(other, k) for k in range(3)), *(Frame(axial, k) for k in range(5))]
    sources = read_headers(write(tmp_path, [enhanced(frames)]))
    [image] = prepare(sources, ())
    assert plane_orientation(image)[0].ImageOrientationPatient == list(axial.cosines)
