"""Headers as scanners really write them make results all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from tests.workers.synthetic import Phantom, result_input, single_frames, write
from workers.load import quiet, read_series
from workers.results import build_all


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
        built = build_all(result_input(sources, Phantom().shape))
    assert str(built["seg"][keyword].value) == expected
    measures = built["seg"].SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SliceThickness > 0
