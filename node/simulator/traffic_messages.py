"""The messages of the generated traffic: drafts that become bytes once their time and control id are known. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from node.hl7.charset import codec_name
from node.hl7.escape import escape
from node.hl7.writing import xpn
from node.simulator.ris import Person
from node.simulator.traffic_codes import LOINC, UCUM
from node.simulator.traffic_records import Specimen, Stay, Value

UTF_8, GB_18030 = "UNICODE UTF-8", "GB 18030-2000"
LOCAL = "99MIMIC"
"""Coding system of the laboratory's own codes."""
MDM_EVENTS = {"T02": "MDM_T02", "T08": "MDM_T02", "T11": "MDM_T01"}

Segments = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Draft:
    """A message without its time and control id."""

    kind: str
    segments: tuple[tuple[str, ...], ...]
    application: str
    charset: str = UTF_8

    def render(self, at: dt.datetime, control_id: str) -> bytes:
        """Write the message with MSH-7 (and EVN-2, where it has an EVN) and MSH-10."""
        msh = [
            *("MSH", "^~\\&", self.application, "HOSPITAL", "OVERREAD", "", stamp(at), "", self.kind),
            *(control_id, "P", "2.5.1", "", "", "", "", "", self.charset),
        ]
        event, trigger = ("EVN", self.kind.split("^")[1], stamp(at)), self.kind.split("^")[0] in ("ADT", "MDM")
        lines = [msh, event, *self.segments] if trigger else [msh, *self.segments]
        text = "".join("|".join(segment).rstrip("|") + "\r" for segment in lines)
        return text.encode(codec_name(self.charset)[1])


def stamp(at: dt.datetime) -> str:
    """Write a time with its offset."""
    return at.strftime("%Y%m%d%H%M%S%z")


def registration(person: Person, event: str, charset: str) -> Draft:
    """Build ADT^A28 or A31: the person alone."""
    return Draft(f"ADT^{event}^ADT_A05", _table(_pid(person), ["PV1", "1", "N"]), "ADT", charset)


def visit(person: Person, event: str, stay: Stay, ward: str, charset: str) -> Draft:
    """Build an ADT about a stay; the end of it is stated by A03 alone."""
    pv1 = ["PV1", "1", "E" if stay.emergency and event == "A04" else "I", f"{escape(ward)}^^^HOSPITAL"] + [""] * 42
    pv1[19] = f"{stay.number}^^^HOSPITAL"
    pv1[44] = stamp(stay.admitted)
    pv1[45] = stamp(stay.discharged) if event == "A03" else ""
    structure = {"A02": "ADT_A02", "A03": "ADT_A03", "A11": "ADT_A09", "A13": "ADT_A01"}.get(event, "ADT_A01")
    return Draft(f"ADT^{event}^{structure}", _table(_pid(person), pv1), "ADT", charset)


def merge(survivor: Person, prior: Person, charset: str) -> Draft:
    """Build ADT^A40."""
    return Draft("ADT^A40^ADT_A39", _table(_pid(survivor), ["MRG", _cx(prior)]), "ADT", charset)


def results(
    person: Person, specimen: Specimen, values: Sequence[Value], status: str, corrected: Sequence[str] = ()
) -> Draft:
    """Build ORU^R01 of a specimen; ``status`` is OBX-11, ``corrected`` the items that have C instead."""
    obr = [""] * 28
    obr[:5] = ["OBR", "1", "", f"{specimen.number}^LAB", f"{specimen.number}^Laboratory^{LOCAL}"]
    obr[7], obr[25] = stamp(specimen.taken), "C" if corrected else status
    obr[27] = f"^^^^^{'S' if specimen.urgent else 'R'}"
    obxs = [
        _obx(number, value, specimen, "C" if value.item in corrected else status)
        for number, value in enumerate(values, 1)
    ]
    return Draft("ORU^R01^ORU_R01", _table(_pid(person), obr, *obxs), "LAB")


def order(
    person: Person, accession: str, *, control: str = "NW", priority: str = "R", reason: str, charset: str
) -> Draft:
    """Build ORM^O01 with the accession number in OBR-18, as IHE RAD-4 has it."""
    obr = [""] * 32
    obr[:5] = ["OBR", "1", f"P{accession}^RIS", f"{accession}^RIS", "24590-2^MR Brain^LN"]
    obr[18], obr[27], obr[31] = accession, f"^^^^^{priority}", f"^{escape(reason, newline='')}"
    orc = ["ORC", control, obr[2], obr[3], "", "", "", obr[27]]
    return Draft("ORM^O01^ORM_O01", _table(_pid(person), ["PV1", "1", "I"], orc, obr), "RIS", charset)


def document(
    person: Person, event: str, number: str, text: str, *, written: dt.datetime, accession: str, charset: str
) -> Draft:
    """Build MDM^T02 (a note), T08 (edited) or T11 (cancelled, without text)."""
    txa = [""] * 20
    txa[:7] = ["TXA", "1", "CN", "TX", stamp(written), "", stamp(written)]
    txa[9], txa[12], txa[17], txa[19] = "3850^Author^Chris", number, "AU", "CA" if event == "T11" else "AV"
    obr = [""] * 19
    obr[:5] = ["OBR", "1", f"P{accession}^RIS", f"{accession}^RIS", "24590-2^MR Brain^LN"]
    obr[18] = accession
    about: list[list[str]] = [["ORC", "RE", obr[2], obr[3]], obr] if accession else []
    lines = text.split("\n") if event != "T11" else []
    obxs = [
        ["OBX", str(n), "FT", "34117-2^History and physical note^LN", "", escape(line), *[""] * 5, "F"]
        for n, line in enumerate(lines, 1)
    ]
    segments = _table(_pid(person), ["PV1", "1", "I"], *about, txa, *obxs)
    return Draft(f"MDM^{event}^{MDM_EVENTS[event]}", segments, "EHR", charset)


def _obx(number: int, value: Value, specimen: Specimen, status: str) -> list[str]:
    kind, text = _typed(value)
    code = f"{value.item}^{escape(value.label)}^{LOCAL}"
    if value.item in LOINC:
        code += f"^{'^'.join(map(escape, LOINC[value.item]))}^LN"
    unit = f"{UCUM[value.unit]}^^UCUM" if value.unit in UCUM else escape(value.unit)
    limits = f"{value.low}-{value.high}" if value.low and value.high else ""
    obx = ["OBX", str(number), kind, code, "", text, unit, limits, _flag(value), "", "", status, "", ""]
    return [*obx, stamp(specimen.taken)]


def _typed(value: Value) -> tuple[str, str]:
    """Return OBX-2 and OBX-5: a number, a bound (SN), or words as a coded element without a code."""
    if value.number:
        return "NM", value.text
    for sign in ("<", ">"):
        rest = value.text.removeprefix(sign).strip()
        if rest != value.text and rest.replace(".", "", 1).isdigit():
            return "SN", f"{sign}^{rest}"
    return "CWE", f"^{escape(value.text, newline='')}"


def _flag(value: Value) -> str:
    """Return OBX-8: which side of its range an abnormal number lies on (table 0078)."""
    if not value.abnormal:
        return "N"
    if value.number and value.low and float(value.number) < float(value.low):
        return "L"
    if value.number and value.high and float(value.number) > float(value.high):
        return "H"
    return "A"


def _pid(person: Person) -> list[str]:
    return ["PID", "1", "", _cx(person), "", xpn(person.name), "", person.birth_date, person.sex]


def _cx(person: Person) -> str:
    return f"{escape(person.id)}^^^{escape(person.issuer)}^MR"


def _table(*segments: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(segment) for segment in segments)
