"""What is odd or wrong in a card, in words for whoever wrote it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.site.card import SiteCard, validated
from models.site.errors import ModelRefused
from models.site.units import is_ucum, warnings

#: As LOINC and DICOM use them (PS3.16 CID 82, 7460 to 7462).
KNOWN = (
    "1 % mm cm mm2 cm3 ml mL g/dL mg/dl mmol/L 10*3/uL 10*9/L /min {H.B.}/min mm[Hg] [IU]/L mU/L ng/mL [hnsf'U] "
    "mL/min/{1.73_m2} g.m-1 kg/m2 Cel m/s ms Hz (a.g)/s 1/s {ratio}"
)


@pytest.mark.parametrize("unit", KNOWN.split())
def test_units_of_medicine_are_known(unit: str) -> None:
    assert is_ucum(unit)


@pytest.mark.parametrize("unit", ["furlongs", "mm/", "(mm", "mm)", "ML/x", "sec", "", "/", "mm mm", "..", "{a"])
def test_others_are_not(unit: str) -> None:
    assert not is_ucum(unit)


@given(st.text(max_size=64))
def test_any_text_is_read_or_not(unit: str) -> None:
    assert is_ucum(unit) in {True, False}


def card(**given: object) -> SiteCard:
    data = {
        "model": {"name": "m", "version": "1", "title": "t", "licence": "l"},
        "input": {"kind": "radiograph", "modality": "DX"},
        "engine": {"kind": "onnx", "task": "regression"},
        "outputs": [{"label": "length", "unit": "mm"}],
    }
    return validated(SiteCard, {**data, **given}, "model.toml")


def test_a_unit_that_is_not_ucum_is_told_on_import() -> None:
    assert warnings(card()) == ()
    [said] = warnings(card(outputs=[{"label": "length", "unit": "furlongs"}]))
    assert "furlongs of length is not known as UCUM" in said


def test_a_radiograph_is_of_cr_or_dx_and_other_modalities_beside_these_are_told() -> None:
    [said] = warnings(card(input={"kind": "radiograph", "modality": ["DX", "MG"]}))
    assert said.startswith("modality MG: ")
    with pytest.raises(ModelRefused, match="modality of a radiograph is CR or DX"):
        card(input={"kind": "radiograph", "modality": "XA"})


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"input": {"kind": "video", "modality": "DX"}}, "input.kind: is one of 'volume' or 'radiograph'"),
        ({"input": {"kind": "volume", "modality": "ct"}}, "input.modality.0: is in capitals"),
        ({"engine": {"kind": "onnx", "task": "guess"}}, "engine.task: is one of 'segmentation', 'classification'"),
        ({"outputs": [{"label": "a b"}]}, "outputs.0.label: is of letters, digits"),
        (
            {"model": {"name": "m", "version": "-1", "title": "t", "licence": "l"}},
            "model.version: begins with a letter",
        ),
    ],
)
def test_a_refusal_is_in_the_words_of_the_card(part: dict[str, object], said: str) -> None:
    with pytest.raises(ModelRefused) as refused:
        card(**part)
    assert said in str(refused.value)
    assert "should match" not in str(refused.value)
    assert "InputKind" not in str(refused.value)
