"""The slices that people should look at are those that show most of what was found, the most important first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.contracts import Finding, Prediction, Region, RegionKind
from tests.workers.results.written import map_of
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
from workers.results.common import ResultInput
from workers.results.keys import LIMIT, key_slices

PHANTOM = Phantom(shape=(12, 8, 8), cosines=ORIENTATIONS["oblique"])


@pytest.fixture
def inp(tmp_path: Path) -> ResultInput:
    """Give an input whose model found nothing."""
    sources = read_headers(write(tmp_path, single_frames(PHANTOM)))
    return result_input(sources, PHANTOM.shape, prediction=Prediction(()))


def _with(inp: ResultInput, **changes: object) -> ResultInput:
    return replace(inp, prediction=replace(inp.prediction, **changes))  # type: ignore[arg-type]


def _drawn(*parts: tuple[int, int, int]) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """Labels that have, for each (slice, label, rows) given, so many full rows of the label."""
    labels = np.zeros(PHANTOM.shape, dtype=np.uint8)
    for k, label, rows in parts:
        labels[k, label::3][:rows] = label
    return labels


def _at(k: float, r: float = 3, c: float = 3) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in (PHANTOM.affine @ [k, r, c, 1])[:3])
    return x, y, z


def _regions(*regions: tuple[RegionKind, Sequence[tuple[float, float, float]]]) -> tuple[Finding, ...]:
    return tuple(
        Finding(f"lesion-{number}", HIPPOCAMPUS, regions=(Region(kind, tuple(points)),))
        for number, (kind, points) in enumerate(regions)
    )


def test_each_finding_is_shown_where_its_segment_is_largest_in_the_models_order(inp: ResultInput) -> None:
    labels = _drawn((2, 1, 1), (3, 1, 2), (8, 2, 2), (9, 2, 1))
    findings = (Finding("second", HIPPOCAMPUS, segment=2), Finding("first", HIPPOCAMPUS, segment=1))
    drawn = _with(inp, labels=labels, segments=SEGMENTS, findings=findings)
    assert key_slices(drawn) == (8, 3)
    assert key_slices(drawn, limit=1) == (8,)


def test_of_slices_that_show_as_much_the_middle_one_is_chosen_and_none_twice(inp: ResultInput) -> None:
    labels = _drawn((4, 1, 2), (5, 1, 2), (6, 1, 2), (5, 2, 1))
    findings = (Finding("first", HIPPOCAMPUS, segment=1), Finding("second", HIPPOCAMPUS, segment=2))
    assert key_slices(_with(inp, labels=labels, segments=SEGMENTS, findings=findings)) == (5,)


def test_a_segment_that_no_finding_names_is_shown_after_all_findings(inp: ResultInput) -> None:
    labels = _drawn((2, 1, 1), (8, 2, 1))
    findings = (Finding("second", HIPPOCAMPUS, segment=2),)
    assert key_slices(_with(inp, labels=labels, segments=SEGMENTS, findings=findings)) == (8, 2)


def test_points_and_outlines_are_shown_on_the_slice_nearest_to_them(inp: ResultInput) -> None:
    outline = [_at(9.2), _at(9.2, 5, 3), _at(9.2, 5, 6), _at(9.2)]
    ellipsoid = [_at(1), _at(5), _at(3, 1), _at(3, 5), _at(3, 3, 1), _at(3, 3, 5)]
    regions = ((RegionKind.POINT, [_at(6.4)]), (RegionKind.POLYGON, outline), (RegionKind.ELLIPSOID, ellipsoid))
    assert key_slices(_with(inp, findings=_regions(*regions))) == (6, 9, 3)


def test_each_of_several_points_has_its_slice_and_points_outside_the_stack_have_none(inp: ResultInput) -> None:
    points = [_at(4), _at(-0.6), _at(11.6), _at(11.4), _at(1)]
    assert key_slices(_with(inp, findings=_regions((RegionKind.MULTIPOINT, points)))) == (4, 11, 1)


def test_where_a_slice_is_missing_the_nearest_one_that_there_is_counts(tmp_path: Path) -> None:
    instances = single_frames(PHANTOM)
    del instances[4:6]
    sources = read_headers(write(tmp_path, instances))
    findings = _regions((RegionKind.POINT, [_at(4.2)]), (RegionKind.POINT, [_at(9)]))
    assert key_slices(result_input(sources, (10, 8, 8), prediction=Prediction(findings))) == (3, 7)


def test_a_heat_map_is_shown_where_it_is_highest(inp: ResultInput) -> None:
    heat = np.zeros(PHANTOM.shape, dtype=np.float32)
    heat[3, 2:6, 2:6] = 0.5
    heat[7, 3, 3] = 0.9
    assert key_slices(_with(inp, maps=(map_of(heat, segment=None),))) == (7,)
    heat[2, 3, 3:5] = 0.9
    heat[5, 0, 0] = np.nan
    assert key_slices(_with(inp, maps=(map_of(heat, segment=None),))) == (2,)
    assert key_slices(_with(inp, maps=(map_of(heat * 0, segment=None),))) == ()


def test_the_probability_of_a_segment_that_was_not_drawn_is_nothing_to_look_at(inp: ResultInput) -> None:
    faint = np.full(PHANTOM.shape, 0.01, dtype=np.float32)
    nothing = np.zeros(PHANTOM.shape, dtype=np.uint8)
    assert key_slices(_with(inp, labels=nothing, segments=SEGMENTS, maps=(map_of(faint),))) == ()


def test_many_findings_are_shown_on_a_few_slices_only(inp: ResultInput) -> None:
    findings = _regions(*((RegionKind.POINT, [_at(k)]) for k in range(12)))
    assert key_slices(_with(inp, findings=findings)) == tuple(range(LIMIT))


def test_frames_of_an_enhanced_image_are_counted_in_slice_order(tmp_path: Path) -> None:
    frames = [5, 0, 7, 1, 4, 2, 3, 6, 11, 10, 9, 8]
    sources = read_headers(write(tmp_path, [multi_frame(PHANTOM, frames)]))
    inp = result_input(sources, PHANTOM.shape, prediction=Prediction(_regions((RegionKind.POINT, [_at(7)]))))
    assert key_slices(inp) == (7,)
