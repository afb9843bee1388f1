"""OBX as a value: code, value, unit, range, flags, status, time (HL7 v2.5.1 section 7.4.2). Pure."""

from __future__ import annotations

from node.errors import Hl7InputError
from node.hl7 import fields
from node.hl7.escape import unescape
from node.hl7.handlers.common import STUDY_UID
from node.hl7.handlers.text import WITHDRAWN
from node.hl7.message import Segment, part
from node.records.observations import FINAL_WITHOUT_VALUE, ObservedValue

LOINC = "LN"
UCUM = "UCUM"
NUMERIC = frozenset({"NM", "SN"})
CODED = frozenset({"CE", "CWE", "CNE", "CF"})
UNREAD = frozenset({"ED", "RP"})
"""Encapsulated and referenced data: no value to compare."""
SUB_ID_MAX = 64
"""Longest OBX-4 that is taken: cut off, it could become another one's."""


def is_value(obx: Segment) -> bool:
    """Whether an OBX states a value: it has one, or says what became of one that was sent before.

    Data in a capsule and the study's UID are none.
    """
    if obx.get(2) in UNREAD or obx.get(3) == STUDY_UID:
        return False
    return bool(obx.raw(5)) or obx.get(11) in WITHDRAWN or obx.get(11) == FINAL_WITHOUT_VALUE


def read_value(obx: Segment, obr: Segment, *, source: str, filler_number: str, zone: str) -> ObservedValue:
    """Read an OBX.

    Parameters
    ----------
    zone
        MSH-7, whose offset holds for times without one.

    Raises
    ------
    Hl7InputError
        OBX-3 is missing (101), or a part of what identifies the observation is too long (104).
    """
    code = _observed(obx)
    if not (code.value or code.text):
        raise Hl7InputError("OBX-3 (observation identifier) is missing", error_code="101", location="OBX^1^3")
    sub_id = obx.get(4)
    if len(sub_id) > SUB_ID_MAX:
        raise Hl7InputError("OBX-4 (observation sub-id) is too long", error_code="104", location="OBX^1^4")
    value, number = _value(obx)
    return ObservedValue(
        source=source,
        filler_number=filler_number,
        code=fields.fits(code.value or code.text, "OBX^1^3"),
        sub_id=sub_id,
        observed_at=fields.time(obx.get(14), zone) or fields.time(obr.get(7), zone),
        scheme=code.scheme,
        name=code.text,
        value=value,
        number=number,
        unit=_unit(obx),
        reference_range=unescape(obx.raw(7)).strip(),
        flag="~".join(filter(None, (part(text, 1) for text in obx.repetitions(8)))),
        status=obx.get(11),
    )


def _observed(obx: Segment) -> fields.Code:
    """Return OBX-3: its LOINC half (components 1 to 3, or 4 to 6) where there is one, else the first that is coded."""
    first = fields.Code(obx.get(3, 1), obx.get(3, 2), obx.get(3, 3))
    other = fields.Code(obx.get(3, 4), obx.get(3, 5), obx.get(3, 6))
    if other.value and other.scheme == LOINC and first.scheme != LOINC:
        return fields.Code(other.value, other.text or first.text, other.scheme)
    return fields.code(obx, 3)


def _unit(obx: Segment) -> str:
    """Return OBX-6: its UCUM half where there is one, else the code or, where there is none, the text."""
    if obx.get(6, 6).upper() == UCUM and obx.get(6, 4) and obx.get(6, 3).upper() != UCUM:
        return obx.get(6, 4)
    return obx.get(6, 1) or obx.get(6, 2) or obx.get(6, 4)


def _value(obx: Segment) -> tuple[str, float | None]:
    """Return OBX-5 as text, a line for each repetition, and as a number where it is one and not a bound or a range."""
    kind, repetitions = obx.get(2), obx.repetitions(5)
    if kind == "SN":  # comparator, number, separator, number (section 2.A.70)
        texts = ["".join(part(text, n) for n in (1, 2, 3, 4)) for text in repetitions]
        return "\n".join(texts), _exact(repetitions[0]) if len(repetitions) == 1 else None
    if kind in CODED:
        return "\n".join(filter(None, map(_coded, repetitions))), None
    text = "\n".join("" if text == '""' else unescape(text).strip() for text in repetitions)
    return text, fields.number(text) if kind == "NM" else None


def _exact(text: str) -> float | None:
    exact = part(text, 1) in ("", "=") and not part(text, 3) and not part(text, 4)
    return fields.number(part(text, 2)) if exact else None


def _coded(text: str) -> str:
    """Return the words of a CWE (text, alternate text, original text) or, where there are none, its code."""
    return next(filter(None, (part(text, n) for n in (2, 5, 9, 1, 4))), "")
