"""Cases for the tests of merging: small ones by hand, and odd ones for hypothesis."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from models.contracts import Code, Finding, Measurement, Side
from models.facts import Assertion, Experiencer, FactKind, NoteFact, Quantity
from models.fusion.contracts import Case, Demographics, Observed, PriorFinding, StatedFact
from models.fusion.graph import load

NOW = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)

NODULE = Code("427359005", "SCT", "Solitary nodule of lung")
SUBDURAL = Code("95453001", "SCT", "Subdural intracranial hemorrhage")
HAEMORRHAGE = Code("1386000", "SCT", "Intracranial hemorrhage")
PNEUMONIA = Code("233604007", "SCT", "Pneumonia")
PNEUMOTHORAX = Code("36118008", "SCT", "Pneumothorax")
HIPPOCAMPUS = Code("5366008", "SCT", "Hippocampus")
MM = Code("mm", "UCUM", "mm")
ML = Code("mL", "UCUM", "mL")
LONG_AXIS = Code("103339001", "SCT", "Long axis")
VOLUME = Code("118565006", "SCT", "Volume")


def icd(value: str, meaning: str = "") -> Code:
    return Code(value, "I10C", meaning or value)


def loinc(value: str, meaning: str = "") -> Code:
    return Code(value, "LN", meaning or value)


def finding(code: Code, size: float | None = None, **fields: Any) -> Finding:
    given = (Measurement(LONG_AXIS, size, MM),) if size is not None else ()
    named: dict[str, Any] = {"label": "thing", "code": code, "measurements": given, "confidence": 0.9} | fields
    return Finding(**named)


def hippocampus(volume_ml: float, side: Side = Side.LEFT) -> Finding:
    return Finding("hippocampus", HIPPOCAMPUS, (Measurement(VOLUME, volume_ml, ML),), side, confidence=0.95)


def fact(
    code: Code,
    surface: str = "",
    *,
    said: Assertion = Assertion(),  # noqa: B008
    days: float = 0.0,
    document: str = "D1",
    quantity: Quantity | None = None,
    side: str = "",
    when: str = "",
) -> StatedFact:
    """Give a fact of a note that was written some days before the study."""
    kind = FactKind.MEASUREMENT if code.scheme == "LN" else FactKind.PROBLEM
    words = surface or code.meaning
    stated = NoteFact(kind, code, words, 10, 10 + len(words), "", said, quantity, when, side)
    return StatedFact(stated, document, "Dr A", NOW - dt.timedelta(days=days), "note")


def value(code: Code, number: float | None, unit: str = "", days: float = 0.0, **fields: Any) -> Observed:
    return Observed(
        code, number, "" if number is None else f"{number:g}", unit, observed_at=NOW - dt.timedelta(days=days), **fields
    )


def case(
    *findings: Finding, facts: Iterable[StatedFact] = (), observations: Iterable[Observed] = (), **more: Any
) -> Case:
    fields: dict[str, Any] = {"model": "test", "modality": "CT", "body_part": "CHEST", "studied_at": NOW} | more
    return Case(findings=findings, facts=tuple(facts), observations=tuple(observations), **fields)


_graph = load()
_numbers = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.floats(0, 200))
_texts = st.one_of(st.text(max_size=12), st.sampled_from(["mm", "cm", "mg/L", "{INR}", "H", "LL", "S", "", "1"]))
_times = st.one_of(
    st.none(),
    st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)),
    st.datetimes(dt.datetime(2026, 1, 1), dt.datetime(2026, 3, 12), timezones=st.just(dt.UTC)),
)


@st.composite
def codes(draw: st.DrawFn) -> Code:
    """Codes of the graph, most of the time."""
    if draw(st.booleans()) and draw(st.booleans()):
        return Code(draw(_texts), draw(_texts), draw(_texts))
    patterns = [p for node in _graph.nodes.values() for p in node.patterns]
    pattern = draw(st.sampled_from(patterns))
    return Code(pattern.value + ("9" if pattern.prefix else ""), pattern.scheme, draw(_texts))


assertions = st.builds(
    Assertion, st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.sampled_from(Experiencer)
)
quantities = st.none() | st.builds(
    Quantity, _numbers, _texts, st.none() | _numbers, st.sampled_from(["", "<", ">", "<=", ">=", "?"])
)
_whens = st.one_of(
    st.sampled_from(["", "2024", "2024-02", "2024-02-30", "-P3Y", "-P9999Y", "-PXY"]), st.text(max_size=8)
)
note_facts = st.builds(
    NoteFact,
    st.sampled_from(FactKind),
    codes(),
    st.text(max_size=20),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.text(max_size=8),
    assertions,
    quantities,
    _whens,
    st.sampled_from(["", "left", "right", "both"]),
)
measurements = st.builds(
    Measurement, codes(), _numbers, st.builds(Code, _texts, st.just("UCUM"), _texts), st.none() | _numbers
)
findings = st.builds(
    Finding,
    st.text(max_size=10),
    codes(),
    st.lists(measurements, max_size=3).map(tuple),
    st.none() | st.sampled_from(Side),
    st.none(),
    st.none() | _numbers,
    st.text(max_size=10),
    st.just(()),
    st.sampled_from(["", "1", "2"]),
)
cases = st.builds(
    Case,
    findings=st.lists(findings, max_size=4).map(tuple),
    model=st.text(max_size=8),
    modality=_texts,
    body_part=st.sampled_from(["", "CHEST", "HEAD", "chest ", "FOOT"]),
    demographics=st.builds(Demographics, st.none() | _numbers, st.sampled_from(["", "M", "F", "O", "x"])),
    facts=st.lists(st.builds(StatedFact, note_facts, st.text(max_size=5), st.text(max_size=5), _times), max_size=6).map(
        tuple
    ),
    observations=st.lists(
        st.builds(Observed, codes(), st.none() | _numbers, _texts, _texts, _texts, _texts, _texts, _times, _texts),
        max_size=5,
    ).map(tuple),
    priors=st.lists(
        st.builds(PriorFinding, findings, st.text(max_size=5), st.text(max_size=5), _times), max_size=3
    ).map(tuple),
    order_reason=st.one_of(
        st.text(max_size=30), st.sampled_from(["r/o PE", "头痛,排除脑出血", "left weakness, on warfarin"])
    ),
    order_priority=_texts,
    patient_class=st.sampled_from(["", "E", "I", "O"]),
    studied_at=_times,
)
