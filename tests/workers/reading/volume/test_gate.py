"""What the gate finds among the planes of a series, and what it lets a model have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contracts import InputRequirements
from tests.workers.stacks import Uneven
from tests.workers.synthetic import ORIENTATIONS
from workers.errors import GeometryRefused
from workers.reading.volume.gate import Decision, Survey, decide, planes_digest, survey
from workers.reading.volume.geometry import Plane

STRICT = InputRequirements((), (0.0, inf), (0.0, inf))
AXIAL = Uneven([0, 2.5, 5, 7.5, 10, 12.5], cosines=ORIENTATIONS["axial"])
SAGITTAL = replace(AXIAL, cosines=ORIENTATIONS["sagittal"])


def _survey(planes: Sequence[Plane], marks: Mapping[int, Mapping[str, str]] | None = None) -> Survey:
    keys = [(f"1.2.{index:03}", 0) for index in range(len(planes))]
    return survey(planes, keys, lambda index: (marks or {}).get(index, {}))


def _decide(found: Survey, **allowed: Any) -> Decision:
    return decide(found, replace(STRICT, **allowed), lambda _one, _other: True)


def test_a_regular_stack_is_read_as_it_is_and_no_marks_are_asked_for() -> None:
    def marks(_plane: int) -> dict[str, str]:
        raise AssertionError

    planes = AXIAL.planes[::-1]
    found = survey(planes, [(str(index), 0) for index in range(6)], marks)
    decision = decide(found, STRICT, lambda _one, _other: False)
    assert decision.stack.order == (5, 4, 3, 2, 1, 0)
    assert (decision.resample, decision.warnings) == (False, ())


TILTED = replace(AXIAL, lean=(float(np.tan(np.radians(18.5))), 0.0))
UNEVEN = replace(AXIAL, heights=[0, 2.5, 4.1, 7.5, 10, 12.5])
GAP = replace(AXIAL, heights=[0, 2.5, 5, 10, 12.5, 20])


@pytest.mark.parametrize(
    ("stack", "allowed", "reason"),
    [
        (TILTED, {"tilt": "resample"}, r"leans by 18\.5 degrees against its slices \(gantry tilt\)"),
        (
            UNEVEN,
            {"uneven_spacing": "resample"},
            r"1\.60 to 3\.40 mm apart, not evenly \(uneven steps or missing slices\)",
        ),
        (GAP, {"missing_slices": "resample"}, r"2\.50 to 7\.50 mm apart, not evenly \(3 slices seem to be missing\)"),
    ],
)
def test_what_is_irregular_is_refused_with_the_reason_unless_the_card_has_it_resampled(
    stack: Uneven, allowed: dict[str, str], reason: str
) -> None:
    found = _survey(stack.planes)
    with pytest.raises(GeometryRefused, match=reason):
        _decide(found)
    assert _decide(found, **allowed).resample
    others = {"tilt": "resample", "uneven_spacing": "resample", "missing_slices": "resample"}
    others = {name: value for name, value in others.items() if name not in allowed}
    with pytest.raises(GeometryRefused, match=reason):
        _decide(found, **others)


def test_a_model_that_accepts_a_lean_gets_the_sheared_grid_itself() -> None:
    decision = _decide(_survey(TILTED.planes), tilt="accept")
    assert not decision.resample
    affine = decision.stack.layout.affine
    np.testing.assert_allclose(affine[:3, 0], (np.array(TILTED.position(5)) - TILTED.position(0)) / 5)


def test_no_more_is_resampled_than_the_card_says() -> None:
    with pytest.raises(GeometryRefused, match="up to 18 degrees"):
        _decide(_survey(TILTED.planes), tilt="resample", max_tilt_deg=18.0)
    with pytest.raises(GeometryRefused, match="steps of up to 7 mm"):
        _decide(_survey(GAP.planes), missing_slices="resample", spacing_mm=(0.5, 7.0))
    with pytest.raises(GeometryRefused, match="6 slices, the model needs at least 7"):
        _decide(_survey(UNEVEN.planes), uneven_spacing="resample", min_slices=7)


def test_slices_shifted_sideways_are_refused_whatever_the_card_says() -> None:
    planes = AXIAL.planes
    planes[2] = replace(planes[2], position=planes[2].position + np.array([1.5, 0, 0]))
    with pytest.raises(GeometryRefused, match="shifted sideways"):
        _decide(_survey(planes), tilt="resample", uneven_spacing="resample", missing_slices="resample")


def test_a_copy_of_a_slice_is_left_out_with_a_warning_and_one_with_other_pixels_refused() -> None:
    planes = [*AXIAL.planes, AXIAL.planes[2]]
    found = _survey(planes)
    assert found.copies == ((2, 6),)
    decision = _decide(found)
    assert decision.stack.order == (0, 1, 2, 3, 4, 5)
    assert decision.warnings == ("Left out of the series: 1 copy of a slice.",)
    with pytest.raises(GeometryRefused, match="1 of 7 slices lie where another one lies"):
        decide(found, STRICT, lambda _one, _other: False)


PHASES = {index: {"TemporalPositionIdentifier": str(2 - index // 6), "AcquisitionNumber": "1"} for index in range(12)}


def test_phases_are_told_apart_by_the_attribute_that_differs() -> None:
    found = _survey(AXIAL.planes * 2, PHASES)
    with pytest.raises(
        GeometryRefused, match="of 12 slices 6 are one of 2 stacks or phases, told apart by TemporalPositionIdentifier"
    ):
        _decide(found)
    decision = _decide(found, several_stacks="largest")
    assert decision.stack.order == (6, 7, 8, 9, 10, 11), "the first phase by its number, not by the order of the files"
    assert decision.warnings[0].startswith("The series has 2 stacks or phases")


def test_phases_that_need_two_attributes_are_told_apart_by_both() -> None:
    marks = {i: {"EchoNumbers": str(i // 6 % 2), "TemporalPositionIdentifier": str(i // 12)} for i in range(24)}
    found = _survey(AXIAL.planes * 4, marks)
    assert (found.others, found.stack.order) == (3, (0, 1, 2, 3, 4, 5))
    assert found.differ == "EchoNumbers and TemporalPositionIdentifier"


def test_an_attribute_that_numbers_every_slice_separates_nothing() -> None:
    """As Acquisition Number of step-and-shoot CT, where each gantry position has its own."""
    marks = {i: {"AcquisitionNumber": str(i % 6 // 2), "TriggerTime": str(i // 6)} for i in range(12)}
    found = _survey(AXIAL.planes * 2, marks)
    assert (found.others, found.differ) == (1, "TriggerTime")


def test_planes_at_one_place_that_nothing_tells_apart_are_refused_whatever_the_card_says() -> None:
    keys = [("1.2", frame) for frame in range(12)]  # frames of one image are no copies of each other
    found = survey(AXIAL.planes * 2, keys, lambda _plane: {})
    with pytest.raises(GeometryRefused, match="6 of 12 slices lie where another one lies"):
        _decide(found, several_stacks="largest", scouts="leave_out")


def test_stacks_of_several_orientations_are_refused_or_the_largest_is_read() -> None:
    found = _survey([*SAGITTAL.planes[:5], *AXIAL.planes])
    with pytest.raises(GeometryRefused, match="different orientations"):
        _decide(found)
    decision = _decide(found, several_stacks="largest")
    assert decision.stack.order == (5, 6, 7, 8, 9, 10)
    assert "told apart by different orientations" in decision.warnings[0]
    with pytest.raises(GeometryRefused, match="which is meant is not known"):
        _decide(_survey([*SAGITTAL.planes, *AXIAL.planes]), several_stacks="largest")


def test_frames_of_several_stacks_by_stack_id_are_not_taken_for_one_with_a_gap() -> None:
    far = replace(AXIAL, heights=[40, 42.5, 45, 47.5])
    marks = {index: {"StackID": "1" if index < 6 else "2"} for index in range(10)}
    found = _survey([*AXIAL.planes, *far.planes], marks)
    assert (found.others, found.differ, found.stack.order) == (1, "StackID", (0, 1, 2, 3, 4, 5))


@pytest.mark.parametrize("stray", [replace(SAGITTAL.planes[3]), replace(AXIAL.planes[1], scout=True)])
def test_a_localiser_among_the_slices_is_refused_or_left_out_with_a_warning(stray: Plane) -> None:
    found = _survey([stray, *AXIAL.planes])
    with pytest.raises(GeometryRefused, match="localiser"):
        _decide(found)
    decision = _decide(found, scouts="leave_out")
    assert decision.stack.order == (1, 2, 3, 4, 5, 6)
    assert decision.warnings == ("Left out of the series: 1 image, a localiser or unlike the others.",)


def test_a_series_of_localisers_is_no_stack() -> None:
    with pytest.raises(GeometryRefused, match="every image of the series is a localiser"):
        _survey([replace(plane, scout=True) for plane in AXIAL.planes])


@given(
    order=st.permutations(range(16)),
    case=st.sampled_from(["phases", "stacks", "copies", "tilted and uneven"]),
)
@settings(max_examples=60, deadline=None)
def test_what_is_found_does_not_depend_on_the_order_of_the_files(order: list[int], case: str) -> None:
    lean = replace(TILTED, heights=[0, 1, 2, 4, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 19, 20.5])
    planes = {
        "phases": AXIAL.planes * 2 + AXIAL.planes[:4],
        "stacks": [*AXIAL.planes, *SAGITTAL.planes[:5], *AXIAL.planes[:5]],
        "copies": [*AXIAL.planes, *AXIAL.planes, *AXIAL.planes[1:5]],
        "tilted and uneven": lean.planes,
    }[case]
    marks = {index: {"EchoTime": str(index // 6)} if case == "phases" else {} for index in range(16)}
    keys = [(f"1.2.{index:02}", 0) for index in range(16)]
    straight = survey(planes, keys, marks.__getitem__)
    found = survey([planes[i] for i in order], [keys[i] for i in order], lambda at: marks[order[at]])
    assert tuple(order[at] for at in found.stack.order) == straight.stack.order
    assert (found.others, found.differ, found.scouts) == (straight.others, straight.differ, straight.scouts)
    assert {(order[a], order[b]) for a, b in found.copies} == set(straight.copies)
    np.testing.assert_array_equal(found.stack.layout.affine, straight.stack.layout.affine)


def test_the_digest_tells_of_every_change_of_the_slices() -> None:
    keys = [(f"1.2.{index}", 0) for index in range(6)]
    digest = planes_digest(keys, AXIAL.planes)
    assert digest == planes_digest(keys, AXIAL.planes)
    moved = AXIAL.planes
    moved[3] = replace(moved[3], position=moved[3].position + np.array([0, 0, 0.001]))
    turned = AXIAL.planes
    turned[3] = replace(turned[3], row_cosine=-turned[3].row_cosine)
    others = [
        planes_digest(keys, moved),
        planes_digest(keys, turned),
        planes_digest(keys[:5], AXIAL.planes[:5]),
        planes_digest([*keys[:5], ("1.2.9", 0)], AXIAL.planes),
        planes_digest([("1.2.0", 1), *keys[1:]], AXIAL.planes),
        planes_digest(keys, [replace(plane, spacing=(0.75, 1.2)) for plane in AXIAL.planes]),
    ]
    assert len({digest, *others}) == 7
