from __future__ import annotations

import pytest

from models.contracts import Geometry, Side
from models.laterality import tell_side
from tests.models.phantoms import grid

CENTRE = (15.0, 20.0, 15.0)
ON_THE_LEFT = grid((30, 40, 30), origin=(10, -40, -30))
ON_THE_RIGHT = grid((30, 40, 30), origin=(-45, -40, -30))


@pytest.mark.parametrize(("where", "side"), [(ON_THE_LEFT, Side.LEFT), (ON_THE_RIGHT, Side.RIGHT)])
def test_the_position_tells_the_side(where: Geometry, side: Side) -> None:
    verdict = tell_side({}, where, CENTRE)

    assert verdict.side is side


@pytest.mark.parametrize("keyword", ["Laterality", "ImageLaterality"])
def test_an_attribute_goes_before_the_position(keyword: str) -> None:
    assert tell_side({keyword: "R"}, ON_THE_LEFT, CENTRE).side is Side.RIGHT


def test_attributes_that_contradict_each_other_leave_the_position_to_tell() -> None:
    attributes = {"Laterality": "R", "ImageLaterality": "L"}

    assert tell_side(attributes, ON_THE_LEFT, CENTRE).side is Side.LEFT


def test_positions_that_start_at_the_origin_are_made_up_and_tell_nothing() -> None:
    verdict = tell_side({}, grid((30, 40, 30), origin=(0, 0, 1)), CENTRE)

    assert verdict.side is None
    assert "made up" in verdict.reason


def test_a_structure_at_the_midline_has_no_side() -> None:
    verdict = tell_side({}, grid((30, 40, 30), origin=(-13, -40, -30)), CENTRE)

    assert verdict.side is None
    assert "2 mm" in verdict.reason


def test_a_structure_far_outside_the_head_has_no_side() -> None:
    assert tell_side({}, grid((30, 40, 30), origin=(90, -40, -30)), CENTRE).side is None
