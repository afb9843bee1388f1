"""The order in which the record came decides nothing; a hostile record costs little; reasons quote nobody."""

from __future__ import annotations

import datetime as dt
import json
import time
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.contracts import Code, Side
from models.fusion.assess import assess
from models.fusion.canonical import canonical
from models.fusion.contracts import Case, Observed, StatedFact
from models.fusion.serial import from_json, to_json
from tests.models.fusion import written
from tests.models.fusion.cases import (
    HAEMORRHAGE,
    NODULE,
    NOW,
    PNEUMONIA,
    PNEUMOTHORAX,
    SUBDURAL,
    case,
    cases,
    finding,
    loinc,
    value,
)
from tests.models.fusion.written import note

SECRET = "Zqxwvname"


def stored(given: Case) -> str:
    return json.dumps(to_json(assess(given)), sort_keys=True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases, st.randoms(use_true_random=False))
def test_the_order_of_facts_values_and_earlier_findings_decides_nothing(given: Case, chance: object) -> None:
    facts, observations, priors = list(given.facts), list(given.observations), list(given.priors)
    for items in (facts, observations, priors):
        chance.shuffle(items)  # type: ignore[attr-defined]
    mixed = replace(given, facts=tuple(facts), observations=tuple(observations), priors=tuple(priors))
    assert stored(mixed) == stored(given)


def test_whole_notes_in_any_order_give_the_same_assessment_and_it_survives_storage() -> None:
    facts = (*note(written.BLEEDING_EN), *note(written.NODULE_EN, 3.0, "N2"), *note("INR 2.0. On heparin.", 0.0, "N3"))
    values = [value(loinc("6301-6", "INR"), number, "{INR}", 0.0, reference=f"F{number}") for number in (3.1, 2.9, 3.3)]
    images = case(finding(SUBDURAL), body_part="HEAD", facts=facts, observations=values)
    turned = replace(images, facts=facts[::-1], observations=tuple(values[::-1]))
    assert stored(turned) == stored(images)
    assert from_json(json.loads(stored(images))) == assess(images)


def test_a_corrected_value_counts_before_the_final_one_of_the_same_time() -> None:
    final = value(loinc("6301-6", "INR"), 9.0, "{INR}", reference="F1", status="F")
    corrected = value(loinc("6301-6", "INR"), 1.0, "{INR}", reference="F1", status="C")
    for values in ((final, corrected), (corrected, final)):
        assert canonical(case(observations=values)).observations[-1] is corrected
        assert not assess(case(finding(HAEMORRHAGE), body_part="HEAD", observations=values)).links


def test_a_hostile_record_is_assessed_in_seconds_and_stays_small() -> None:
    texts = ("fever", "no fever", "nodule -9 mm", "INR 3.1", "on warfarin", "no lung cancer", "father had lung cancer")
    read = [item for text in texts for item in note(text)]
    facts = [
        replace(read[at % len(read)], document=f"N{at}" * 50, written_at=NOW - dt.timedelta(days=at - 500))
        for at in range(2000)
    ]
    numbers = (None, float("nan"), float("inf"), -5.0, 3.1, 1e300)
    units = ("", "mg/dL", "mmol/L", "banana", "mg" * 900)
    values = [
        Observed(
            loinc(("6301-6", "1988-5", "3094-0")[at % 3], "x" * 3000),
            numbers[at % len(numbers)],
            "y" * 3000,
            units[at % len(units)],
            "0-1" * 900,
            "H~L" * 50,
            "F",
            (None, NOW, NOW + dt.timedelta(days=9999), dt.datetime(1, 1, 1))[at % 4],
            "F" * 500,
        )
        for at in range(5000)
    ]
    images = [finding(code, side=Side.LEFT) for code in (SUBDURAL, PNEUMONIA, PNEUMOTHORAX)]
    images += [finding(NODULE, size, lesion=str(size)) for size in (-3.0, float("nan"), 1e300, 9.0)]
    began = time.process_time()
    found = assess(case(*images, facts=facts, observations=values, order_reason="on warfarin " * 5000))
    assert time.process_time() - began < 10.0
    assert len(json.dumps(to_json(found))) < 200_000
    assert all(len(link.evidence.reference) <= 100 and len(link.evidence.text) <= 250 for link in found.links)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases)
def test_reasons_of_the_priority_quote_nothing_that_a_person_wrote(given: Case) -> None:
    """Reasons go to the timeline: what stands there must come from the tables, never from notes, labs or orders."""
    marked = replace(
        given,
        facts=tuple(_marked(item) for item in given.facts),
        observations=tuple(
            replace(item, text=SECRET, reference=SECRET, code=replace(item.code, meaning=SECRET))
            for item in given.observations
        ),
        findings=tuple(
            replace(item, text=SECRET, label=SECRET, code=replace(item.code, meaning=SECRET)) for item in given.findings
        ),
        order_reason=f"{SECRET} {given.order_reason} {SECRET}",
        study_description=SECRET,
    )
    assert SECRET not in " ".join(assess(marked).triage.reasons)


def test_the_reasons_of_a_whole_note_quote_nothing_of_it() -> None:
    text = f"Mrs {SECRET} {SECRET} 12.3.1945. {written.BLEEDING_EN}"
    images = case(finding(SUBDURAL), body_part="HEAD", facts=note(text), order_reason=f"{SECRET}, fall on warfarin")
    found = assess(images)
    assert len(found.triage.reasons) > 3
    assert not any(word in " ".join(found.triage.reasons) for word in (SECRET, "warfarin", "1945", "hit her head"))


def _marked(item: StatedFact) -> StatedFact:
    fact = replace(item.fact, surface=SECRET, code=Code(item.fact.code.value, item.fact.code.scheme, SECRET))
    return replace(item, fact=fact, document=SECRET, author=SECRET, kind=SECRET)
