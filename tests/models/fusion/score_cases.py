"""Cases for the tests of scores. Whoever they speak of is made up."""

from __future__ import annotations

import datetime as dt

from models.contracts import Code, Finding, Measurement, Side
from models.facts import Assertion, Experiencer, FactKind, NoteFact, Quantity
from models.fusion.contracts import Case, Demographics, Observed, PriorFinding, StatedFact

STUDIED = dt.datetime(2024, 3, 10, 9, 0, tzinfo=dt.UTC)

NODULE = Code("427359005", "SCT", "Solitary nodule of lung")
LONG_AXIS = Code("103339001", "SCT", "Long axis")
SHORT_AXIS = Code("103340004", "SCT", "Short axis")
VOLUME = Code("118565006", "SCT", "Volume")
SOLID = Code("SOLID-DIAMETER", "99OVERREAD", "Mean diameter of the solid component")
PNEUMONIA = Code("233604007", "SCT", "Pneumonia")
FIBRILLATION = Code("49436004", "SCT", "Atrial fibrillation")
HAEMORRHAGE = Code("1386000", "SCT", "Intracranial hemorrhage")
HIPPOCAMPUS = Code("5366008", "SCT", "Hippocampus")

FAMILY = Assertion(experiencer=Experiencer.FAMILY)
NEGATED = Assertion(negated=True)
HISTORICAL = Assertion(historical=True)
UNCERTAIN = Assertion(uncertain=True)


def size(name: Code, value: float, unit: str = "mm") -> Measurement:
    return Measurement(name, value, Code(unit, "UCUM", unit))


def nodule(
    long_mm: float | None,
    text: str = "",
    *,
    short_mm: float | None = None,
    solid_mm: float | None = None,
    volume_mm3: float | None = None,
    lesion: str = "",
    label: str = "nodule",
) -> Finding:
    parts = [
        size(name, value, unit)
        for name, value, unit in (
            (LONG_AXIS, long_mm, "mm"),
            (SHORT_AXIS, short_mm, "mm"),
            (SOLID, solid_mm, "mm"),
            (VOLUME, volume_mm3, "mm3"),
        )
        if value is not None
    ]
    return Finding(label, NODULE, tuple(parts), text=text, lesion=lesion)


def finding(code: Code, label: str = "finding", text: str = "") -> Finding:
    return Finding(label, code, text=text)


def hippocampus(volume_ml: float, side: Side | None, half_width: float = 0.4, label: str = "hippocampus") -> Finding:
    unit = Code("mL", "UCUM", "milliliter")
    interval = Measurement(VOLUME, volume_ml, unit, volume_ml - half_width, volume_ml + half_width, 0.95)
    return Finding(label, HIPPOCAMPUS, (interval,), side=side)


def fact(
    code: str,
    assertion: Assertion | None = None,
    *,
    scheme: str = "I10C",
    meaning: str = "",
    surface: str = "as the note has it",
    kind: FactKind = FactKind.PROBLEM,
    quantity: Quantity | None = None,
    when: str = "",
    document: str = "DOC1",
    written_at: dt.datetime | None = STUDIED,
    start: int = 0,
) -> StatedFact:
    item = NoteFact(
        kind,
        Code(code, scheme, meaning),
        surface,
        start,
        start + len(surface),
        "history",
        assertion or Assertion(),
        quantity,
        when,
    )
    return StatedFact(item, document, written_at=written_at, kind="progress note")


def drug(name: str, assertion: Assertion | None = None) -> StatedFact:
    return fact(
        name, assertion, scheme="RXNORM", meaning=name, surface=name, kind=FactKind.MEDICATION, document="MEDICATIONS"
    )


def number(loinc: str, value: float, unit: str, **more: str) -> StatedFact:
    quantity = Quantity(value, unit)
    when = more.get("when", "")
    return fact(loinc, scheme="LN", kind=FactKind.MEASUREMENT, quantity=quantity, when=when)


def lab(
    loinc: str,
    value: float | None,
    unit: str,
    at: dt.datetime | None = STUDIED,
    reference: str = "F1",
    scheme: str = "LN",
) -> Observed:
    return Observed(
        Code(loinc, scheme, loinc),
        value,
        "" if value is None else f"{value:g}",
        unit,
        observed_at=at,
        reference=reference,
    )


def prior(item: Finding, days: int, study: str = "1.2.3") -> PriorFinding:
    return PriorFinding(item, "nodules", study, STUDIED - dt.timedelta(days=days))


def chest(
    *findings: Finding,
    age: float | None = 62,
    sex: str = "F",
    facts: tuple[StatedFact, ...] = (),
    reason: str = "",
    priors: tuple[PriorFinding, ...] = (),
    observations: tuple[Observed, ...] = (),
) -> Case:
    return Case(
        findings,
        "nodules",
        modality="CT",
        body_part="CHEST",
        demographics=Demographics(age, sex),
        facts=facts,
        observations=observations,
        priors=priors,
        order_reason=reason,
        studied_at=STUDIED,
    )
