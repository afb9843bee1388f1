"""All scores together: odd cases, evidence, determinism, and what every score must say."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, replace

from hypothesis import given
from hypothesis import strategies as st

from models.contracts import Code, Finding, Measurement, Side
from models.facts import Assertion, Experiencer, FactKind, NoteFact, Quantity
from models.fusion.contracts import Case, Demographics, Observed, PriorFinding, Score, StatedFact
from models.fusion.reading_concepts import fact_patterns, finding_rows
from models.fusion.scores import NOT_APPLICABLE, SCORES, VERSIONS, compute
from models.fusion.units import _UNITS, LOINC
from tests.models.fusion.score_cases import FIBRILLATION, HAEMORRHAGE, PNEUMONIA, chest, finding, hippocampus, nodule

times = st.one_of(
    st.none(), st.datetimes(timezones=st.sampled_from([None, dt.UTC, dt.timezone(dt.timedelta(hours=8))]))
)
codes = st.sampled_from([row.code for rows in finding_rows().values() for row in rows])
patterns = st.sampled_from([pattern for group in fact_patterns().values() for pattern in group])
fact_codes = st.one_of(
    patterns.map(lambda pattern: Code(pattern.value, pattern.scheme, "something")),
    st.sampled_from([Code(code, "LN", name) for code, name in LOINC.items()]),
    st.builds(Code, st.text(max_size=8), st.text(max_size=8), st.sampled_from(["warfarin", "Spiculated nodule", ""])),
)
units = st.sampled_from([*_UNITS, "", "?"])
measurements = st.builds(
    Measurement,
    codes,
    st.floats(),
    st.builds(Code, units, st.just("UCUM"), st.just("")),
    st.none() | st.floats(),
    st.none() | st.floats(),
)
findings = st.builds(
    Finding,
    label=st.sampled_from(["nodule", "hippocampus", "hippocampus-anterior", ""]),
    code=codes,
    measurements=st.lists(measurements, max_size=4).map(tuple),
    side=st.sampled_from([None, *Side]),
    text=st.sampled_from(["", "Part-solid spiculated nodule.", "New solid nodule in the upper lobe."])
    | st.text(max_size=30),
    lesion=st.sampled_from(["", "A"]),
)
assertions = st.builds(Assertion, *[st.booleans()] * 4, st.sampled_from(list(Experiencer)))
quantities = st.none() | st.builds(Quantity, st.floats(), units)
facts = st.builds(
    StatedFact,
    st.builds(
        NoteFact,
        st.sampled_from(list(FactKind)),
        fact_codes,
        st.text(max_size=10),
        st.integers(0, 9),
        st.integers(9, 19),
        st.just(""),
        assertions,
        quantities,
        st.sampled_from(["", "2024", "2024-03-05", "-P3Y", "-P99999D", "nonsense"]),
    ),
    st.text(max_size=4),
    written_at=times,
)
observations = st.builds(
    Observed,
    fact_codes,
    st.none() | st.floats(),
    st.text(max_size=5),
    units,
    observed_at=times,
    reference=st.text(max_size=3),
)
cases = st.builds(
    Case,
    findings=st.lists(findings, max_size=4).map(tuple),
    model=st.just("some-model"),
    modality=st.sampled_from(["CT", "MR", ""]),
    body_part=st.sampled_from(["CHEST", "HEAD", ""]),
    demographics=st.builds(Demographics, st.none() | st.floats(), st.sampled_from(["M", "F", "O", ""])),
    facts=st.lists(facts, max_size=5).map(tuple),
    observations=st.lists(observations, max_size=4).map(tuple),
    priors=st.lists(st.builds(PriorFinding, findings, st.just("m"), st.text(max_size=3), times), max_size=3).map(tuple),
    order_reason=st.sampled_from(["", "lung cancer screening"]) | st.text(max_size=20),
    studied_at=times,
)


@given(cases)
def test_no_case_breaks_a_score_and_every_score_says_what_it_must(case: Case) -> None:
    scores = compute(case)

    assert scores == compute(case)
    json.dumps([asdict(score) for score in scores], default=str)
    for score in scores:
        complete(score, case)


def complete(score: Score, case: Case) -> None:
    assert score.statement.endswith(".")
    assert score.citation
    assert score.limits or score.value is None
    assert score.finding is None or 0 <= score.finding < len(case.findings)
    assert len(score.missing) == len(set(score.missing))
    assert len(score.inputs) < 20
    assert len(score.statement) < 500
    assert (score.unit is None) or score.name not in {"fleischner-2017", "lung-rads-2022", "anticoagulant-haemorrhage"}


@given(cases)
def test_the_order_of_facts_and_values_does_not_matter(case: Case) -> None:
    turned = replace(case, facts=case.facts[::-1], observations=case.observations[::-1], priors=case.priors[::-1])
    assert [(s.name, s.value, s.category, s.missing) for s in compute(case)] == [
        (s.name, s.value, s.category, s.missing) for s in compute(turned)
    ]


def everything() -> Case:
    return replace(
        chest(nodule(8, "Solid nodule."), finding(PNEUMONIA), finding(FIBRILLATION), finding(HAEMORRHAGE)),
        findings=(
            nodule(8, "Solid nodule."),
            finding(PNEUMONIA),
            finding(FIBRILLATION),
            finding(HAEMORRHAGE),
            hippocampus(3, Side.LEFT),
        ),
    )


def test_every_score_of_the_registry_is_computed_in_its_order() -> None:
    names = [score.name for score in compute(everything())]
    assert names == ["crb-65" if name == "curb-65" else name for name in SCORES]
    assert set(VERSIONS) == set(SCORES)


def test_without_notes_everything_still_works_and_says_what_is_missing() -> None:
    for score in compute(everything()):
        assert score.missing or score.category == NOT_APPLICABLE


def test_a_case_without_findings_or_facts_has_no_scores() -> None:
    assert compute(chest()) == ()


def test_no_text_of_a_note_comes_into_a_statement() -> None:
    text = " ".join(score.statement for score in compute(everything()))
    assert "as the note has it" not in text
