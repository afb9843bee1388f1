"""Reading inputs from a case, and the tables of concepts behind it."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contracts import Code, Finding
from models.facts import Assertion, Quantity
from models.fusion import reading, reading_values
from models.fusion.contracts import Observed, Source
from models.fusion.reading_concepts import fact_patterns, finding_rows
from models.notes import analyze
from tests.models.fusion.score_cases import (
    FAMILY,
    HISTORICAL,
    NEGATED,
    NODULE,
    SHORT_AXIS,
    STUDIED,
    UNCERTAIN,
    chest,
    drug,
    fact,
    lab,
    nodule,
    number,
    size,
)

HOUR = dt.timedelta(hours=1)


def test_a_finding_is_known_by_its_code() -> None:
    case = chest(nodule(8), Finding("effusion", Code("60046008", "SCT", "Pleural effusion")))

    assert [index for index, _ in reading.findings_of(case, "lung nodule")] == [0]
    assert reading.concept_of(case, case.findings[1]) == "pleural effusion"
    assert reading.concept_of(case, Finding("x", Code("427359005", "XYZ", "elsewhere"))) == ""


def test_a_nodule_without_a_place_counts_in_the_chest_only() -> None:
    item = Finding("nodule", Code("27925004", "SCT", "Nodule"))
    chest_case = chest(item)

    assert reading.findings_of(chest_case, "lung nodule")
    assert not reading.findings_of(replace(chest_case, body_part="NECK"), "lung nodule")


def test_sizes_are_read_in_millimetres_whatever_their_unit() -> None:
    item = Finding("nodule", NODULE, (size(Code("103339001", "SCT", "Long axis"), 1.2, "cm"), size(SHORT_AXIS, 8)))

    assert reading.longest_mm(item) == pytest.approx(12)
    assert reading.mean_diameter_mm(item) == pytest.approx(10)
    assert reading.volume_mm3(item) is None


@pytest.mark.parametrize("value", [0.0, -3.0, float("nan"), float("inf")])
def test_a_size_that_is_no_size_is_none(value: float) -> None:
    assert reading.longest_mm(nodule(value)) is None


def test_what_nobody_states_is_not_a_no() -> None:
    assert reading.stated(chest(), "hypertension") == reading.Statement(None)


def test_a_fact_answers_with_its_place_in_the_note() -> None:
    stated = reading.stated(chest(facts=(fact("I10", start=17),)), "hypertension")

    assert stated.answer is True
    assert stated.evidence is not None
    assert stated.evidence.source is Source.NOTE
    assert stated.evidence.reference == "DOC1:17-35"


def test_only_a_negated_fact_says_no() -> None:
    assert reading.stated(chest(facts=(fact("I10", NEGATED),)), "hypertension").answer is False
    assert reading.stated(chest(facts=(fact("I10", UNCERTAIN),)), "hypertension").answer is None
    assert reading.stated(chest(facts=(fact("I10", Assertion(hypothetical=True)),)), "hypertension").answer is None
    assert reading.stated(chest(facts=(fact("I10", FAMILY),)), "hypertension").answer is None


def test_the_past_counts_for_what_lasts_only() -> None:
    assert reading.stated(chest(facts=(fact("E11.9", HISTORICAL),)), "diabetes").answer is True
    assert reading.stated(chest(facts=(fact("J18.9", HISTORICAL),)), "pneumonia").answer is None


def test_what_comes_and_goes_must_be_in_a_note_of_about_the_studys_time() -> None:
    def pneumonia(at: dt.datetime | None, when: str = "") -> bool | None:
        return reading.stated(chest(facts=(fact("J18.9", written_at=at, when=when),)), "pneumonia").answer

    assert pneumonia(STUDIED - 6 * 24 * HOUR) is True
    assert pneumonia(STUDIED - 8 * 24 * HOUR) is None
    assert pneumonia(None) is True
    assert pneumonia(STUDIED, "2019") is None
    assert pneumonia(STUDIED, "-P2D") is True


def test_an_anticoagulant_counts_in_a_note_of_any_age_but_not_as_history() -> None:
    old = STUDIED - 300 * 24 * HOUR
    assert reading.anticoagulant(chest(facts=(fact("Z79.01", written_at=old),))).answer is True
    assert reading.anticoagulant(chest(facts=(fact("Z79.01", HISTORICAL),))).answer is None


def test_a_yes_outweighs_a_no() -> None:
    facts = (fact("I10", NEGATED), fact("I10", document="DOC2", written_at=STUDIED - 99 * HOUR))
    assert reading.stated(chest(facts=facts), "hypertension").answer is True


def test_the_order_of_the_facts_does_not_matter() -> None:
    facts = (fact("I10", start=5), fact("I10", start=50), fact("I10", document="DOC0", written_at=None))
    assert reading.stated(chest(facts=facts), "hypertension") == reading.stated(
        chest(facts=facts[::-1]), "hypertension"
    )


def test_the_family_is_asked_apart() -> None:
    case = chest(facts=(fact("C34.90", FAMILY),))

    assert reading.stated_of_family(case, "lung cancer").answer is True
    assert reading.stated(case, "lung cancer").answer is None


def test_an_anticoagulant_is_known_by_its_ingredient_or_as_such() -> None:
    assert reading.anticoagulant(chest(facts=(drug("apixaban"),))).answer is True
    assert reading.anticoagulant(chest(facts=(fact("Z79.01"),))).answer is True
    assert reading.anticoagulant(chest(facts=(fact("Z79.01", NEGATED),))).answer is False
    assert reading.anticoagulant(chest(facts=(drug("aspirin"),))).answer is None


def test_no_warfarin_does_not_deny_all_anticoagulants() -> None:
    assert reading.anticoagulant(chest(facts=(drug("warfarin", NEGATED),))).answer is None
    assert reading.anticoagulant(chest(facts=(drug("warfarin", HISTORICAL),))).answer is None


@pytest.mark.parametrize(
    "name",
    [
        "warfarin",
        "apixaban",
        "rivaroxaban",
        "dabigatran",
        "edoxaban",
        "heparin",
        "enoxaparin",
        "LMWH",
        "fondaparinux",
        "dalteparin",
    ],
)
def test_the_lexicon_calls_anticoagulants_as_they_are_called_here(name: str) -> None:
    (found,) = analyze(f"Medications: {name}.").facts
    assert found.code.meaning.casefold() in reading.ANTICOAGULANTS


def test_pack_years_come_from_the_newest_note() -> None:
    old = fact("F17.210", quantity=Quantity(20, "{pack}.a"), written_at=STUDIED - 999 * HOUR, document="OLD")
    new = fact("Z87.891", quantity=Quantity(31, "{pack}.a"), document="NEW")
    found = reading.pack_years(chest(facts=(old, new)))

    assert found is not None
    assert (found.value, found.evidence.reference) == (31, "NEW:0-18")


def test_the_newest_value_near_the_study_counts() -> None:
    values = (lab("6301-6", 1.1, "1", STUDIED - 50 * HOUR), lab("6301-6", 3.5, "", STUDIED - HOUR, "F2"))
    found = reading_values.measured(chest(observations=values), "INR")

    assert found is not None
    assert (found.value, found.evidence.reference) == (3.5, "F2")


@pytest.mark.parametrize("hours", [-24 * 60, 24 * 10])
def test_a_value_far_from_the_study_does_not_count(hours: int) -> None:
    assert reading_values.measured(chest(observations=(lab("6301-6", 2, "1", STUDIED + hours * HOUR),)), "INR") is None


def test_a_value_of_unknown_time_does_not_count() -> None:
    assert reading_values.measured(chest(observations=(lab("6301-6", 2, "1", None),)), "INR") is None


def test_times_without_a_zone_are_compared_all_the_same() -> None:
    naive = (STUDIED - HOUR).replace(tzinfo=None)
    assert reading_values.measured(chest(observations=(lab("6301-6", 2, "1", naive),)), "INR") is not None


@pytest.mark.parametrize(
    ("code", "scheme", "value", "unit", "expected"),
    [
        ("3094-0", "LN", 28.0, "mg/dL", 10.0),
        ("22664-7", "LN", 10.0, "mmol/L", 10.0),
        ("3091-6", "LN", 60.06, "mg/dL", 10.0),
        ("BUN", "L", 28.0, "MG/DL", 10.0),
        ("Urea", "99LAB", 10.0, "mmol/l", 10.0),
    ],
)
def test_urea_is_one_number_however_it_is_sent(
    code: str, scheme: str, value: float, unit: str, expected: float
) -> None:
    found = reading_values.measured(chest(observations=(lab(code, value, unit, scheme=scheme),)), "urea")

    assert found is not None
    assert found.value == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(
    ("value", "unit"), [(28.0, ""), (28.0, "stones"), (9000.0, "mmol/L"), (float("nan"), "mmol/L")]
)
def test_a_value_without_a_usable_unit_or_beyond_belief_is_none(value: float, unit: str) -> None:
    assert reading_values.measured(chest(observations=(lab("22664-7", value, unit),)), "urea") is None


def test_the_laboratory_goes_before_the_note() -> None:
    case = chest(facts=(number("6301-6", 2.4, "1"),), observations=(lab("6301-6", 3.1, "1", STUDIED - 24 * HOUR),))
    found = reading_values.measured(case, "INR")

    assert found is not None
    assert (found.value, found.evidence.source) == (3.1, Source.LAB)


def test_a_number_of_a_note_counts_where_the_laboratory_is_silent() -> None:
    found = reading_values.measured(chest(facts=(number("9279-1", 32, "/min"),)), "respiratory rate")

    assert found is not None
    assert (found.value, found.evidence.source) == (32, Source.NOTE)


@pytest.mark.parametrize(
    ("when", "counts"),
    [("2024-03-09", True), ("-P1D", True), ("-P3Y", False), ("2024", False), ("-P9999Y", False), ("2024-99-99", False)],
)
def test_a_note_says_when_its_number_was_so(when: str, counts: bool) -> None:
    found = reading_values.measured(chest(facts=(number("6301-6", 2.4, "1", when=when),)), "INR")
    assert (found is not None) is counts


@pytest.mark.parametrize("years", [-1.0, 200.0, float("nan"), float("inf")])
def test_an_age_that_cannot_be_is_not_known(years: float) -> None:
    assert reading.age(chest(age=years)) is None


@given(st.lists(st.tuples(st.text(max_size=12), st.floats(), st.text(max_size=12), st.datetimes()), max_size=6))
def test_no_observation_breaks_it(rows: list[tuple[str, float, str, dt.datetime]]) -> None:
    observed = tuple(
        Observed(Code(code, scheme, code), value, unit=unit, observed_at=at)
        for code, value, unit, at in rows
        for scheme in ("LN", "L")
    )
    for analyte in reading_values.ANALYTES:
        reading_values.measured(chest(observations=observed), analyte)


def test_every_row_of_the_tables_is_read() -> None:
    assert {"lung nodule", "atrial fibrillation", "intracranial haemorrhage", "long axis", "volume"} <= {
        row.concept for rows in finding_rows().values() for row in rows
    }
    assert fact_patterns()["pneumonia"]


@pytest.mark.data
def test_every_pattern_is_a_code_of_icd_10_cm_or_begins_one(real_data: Callable[[str], Path]) -> None:
    packed = (real_data("codes-icd10cm") / "icd10cm-order-Jan-2021.csv.gz").read_bytes()
    rows = csv.DictReader(io.StringIO(gzip.decompress(packed).decode()))
    codes = sorted(row["code"].replace(".", "") for row in rows)
    joined = "\n" + "\n".join(codes) + "\n"

    for patterns in fact_patterns().values():
        for pattern in (item for item in patterns if item.scheme == "I10C"):
            value = pattern.value.replace(".", "")
            assert f"\n{value}{'' if pattern.prefix else chr(10)}" in joined, pattern
