"""What a card says that a series may be: read, written, and refused where there is no such choice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.cards import SHIPPED, card_from_dict, card_to_dict, read_card
from models.contracts import InputDeclined, InputRequirements, WeightsError
from models.imaging.checks import check_requirements
from models.imaging.hippocampus_parts import REQUIREMENTS
from tests.models.phantoms import blob

ADDED = ("tilt", "max_tilt_deg", "uneven_spacing", "missing_slices", "several_stacks", "scouts")


def _card() -> dict[str, Any]:
    return card_to_dict(read_card(SHIPPED / "hippocampus"))


def test_a_card_from_before_the_gate_refuses_everything_irregular() -> None:
    old = _card()
    for name in ADDED:
        del old["requirements"][name]
    needs = card_from_dict(old).requirements
    assert {getattr(needs, name) for name in ADDED if name != "max_tilt_deg"} == {"refuse"}


def test_what_a_card_allows_is_kept() -> None:
    said = {"tilt": "accept", "max_tilt_deg": 12.5, "uneven_spacing": "resample", "missing_slices": "resample"}
    said |= {"several_stacks": "largest", "scouts": "leave_out"}
    value = _card()
    value["requirements"] |= said
    card = card_from_dict(value)
    assert {name: getattr(card.requirements, name) for name in ADDED} == said
    assert card_from_dict(card_to_dict(card)) == card


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, "perhaps") for name in ADDED if name != "max_tilt_deg"] + [("max_tilt_deg", 90), ("max_tilt_deg", -1)],
)
def test_a_choice_that_there_is_not_makes_the_card_malformed_and_is_named(name: str, value: object) -> None:
    card = _card()
    card["requirements"][name] = value
    with pytest.raises(WeightsError, match=name):
        card_from_dict(card)


def test_the_shipped_card_says_what_the_code_of_its_model_says() -> None:
    assert read_card(SHIPPED / "hippocampus").requirements == REQUIREMENTS


def test_a_sheared_grid_is_declined_unless_the_model_accepts_a_lean() -> None:
    volume = blob()
    affine = volume.geometry.affine.copy()
    affine[:3, 0] += affine[:3, 1] * 0.3
    sheared = replace(volume, geometry=replace(volume.geometry, affine=affine))
    needs = InputRequirements(("MR",), (0.1, 10.0), (1.0, 500.0))
    with pytest.raises(InputDeclined, match="gantry tilt"):
        check_requirements(sheared, needs)
    check_requirements(sheared, replace(needs, tilt="accept"))
    assert np.isfinite(sheared.geometry.voxel_ml)


def test_a_volume_of_another_body_part_is_declined_and_one_that_says_none_is_not() -> None:
    volume, needs = blob(), InputRequirements(("MR",), (0.1, 10.0), (1.0, 500.0), body_parts=("HEAD", "BRAIN"))
    check_requirements(replace(volume, attributes={}), needs)
    check_requirements(replace(volume, attributes={"BodyPartExamined": " brain "}), needs)
    with pytest.raises(InputDeclined, match="body part is KNEE; this model reads HEAD or BRAIN"):
        check_requirements(replace(volume, attributes={"BodyPartExamined": "KNEE"}), needs)
    check_requirements(replace(volume, attributes={"BodyPartExamined": "KNEE"}), replace(needs, body_parts=()))
