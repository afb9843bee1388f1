"""Segments that every result message shares: MSH, PV1, ORC, OBR, OBX and SPM of version 2.5.1. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from node.hl7.escape import escape
from node.hl7.reporting import OruObservation, OruPatient, OruReport
from node.hl7.writing import Concept, ce, decimal, ei, st, timestamp, xpn

VERSION = "2.5.1"
CHARSET = "UNICODE UTF-8"
STUDY_UID = Concept("113014", "DCM", "DICOM Study")  # as IHE RAD and PACS write it

COPIED_ORC = (4, 8, 10, 12, 17, 21)
"""Fields of the order's ORC that a result repeats; ORC-2 and ORC-3 come beside them."""
COPIED_OBR = (10, 13, 15, 16, 17, 19, 20, 21, 24, 28, 31, 44)
"""The same of its OBR."""
MAX_SPECIMENS = 20
"""Most SPM segments that are repeated; an imaging order has none, a biopsy one or two."""


def check_control_id(control_id: str) -> None:
    """Raise :class:`ValueError` for one that MSH-10 cannot hold."""
    if not 1 <= len(control_id) <= 20 or not control_id.isalnum():
        raise ValueError("a control id has 1 to 20 letters and digits")


def written(segments: Iterable[list[str]]) -> bytes:
    """Join segments to a message in UTF-8."""
    return "".join("|".join(fields).rstrip("|") + "\r" for fields in segments).encode("utf_8")


def header(report: OruReport, control_id: str, now: dt.datetime) -> list[str]:
    """Write MSH of an ORU^R01."""
    return [
        "MSH", "^~\\&", st(report.sending_application), st(report.sending_facility),
        st(report.receiving_application), st(report.receiving_facility), timestamp(now), "", "ORU^R01^ORU_R01",
        control_id, "P", VERSION, "", "", report.accept, report.application, "", CHARSET,
    ]  # fmt: skip


def person(patient: OruPatient) -> list[str]:
    """Write PID."""
    identifier = f"{st(patient.id)}^^^{st(patient.issuer)}".rstrip("^")
    return ["PID", "1", "", identifier, "", xpn(patient.name), "", st(patient.birth_date), st(patient.sex)]


def visit(context: Mapping[str, Any]) -> list[list[str]]:
    """Repeat the order's PV1, if it had one."""
    text = str(context.get("PV1", ""))
    return [text.split("|")] if text.startswith("PV1|") else []


def specimens(context: Mapping[str, Any]) -> list[list[str]]:
    """Repeat the order's SPM segments (section 7.4.3), numbered anew."""
    kept = context.get("SPM", ())
    lines = [kept] if isinstance(kept, str) else kept if isinstance(kept, list | tuple) else []
    rows = [line.split("|") for line in lines if isinstance(line, str) and line.startswith("SPM|")]
    return [["SPM", str(number), *row[2:]] for number, row in enumerate(rows[:MAX_SPECIMENS], 1)]


def common_order(report: OruReport) -> list[str]:
    """Write ORC: observations to follow, with the order's own numbers and fields."""
    orc = _copied(report.context, "ORC")
    fields = [""] * 22
    fields[0], fields[1] = "ORC", "RE"
    fields[2], fields[3] = _numbers(report)
    for number in COPIED_ORC:
        fields[number] = orc.get(str(number), "")
    return fields


def request(report: OruReport, set_id: int, service: Concept | None, now: dt.datetime, quantity: str = "") -> list[str]:
    """Write OBR: of ``service``, or of what was ordered; ``quantity`` is OBR-27."""
    obr = _copied(report.context, "OBR")
    fields = [""] * 46
    for number in COPIED_OBR:
        fields[number] = obr.get(str(number), "")
    fields[0], fields[1] = "OBR", str(set_id)
    fields[2], fields[3] = _numbers(report)
    fields[4] = ce(service) if service else obr.get("4", "") or ce(report.procedure)
    fields[7] = timestamp(report.observed_at)
    fields[18] = st(report.accession_number) or obr.get("18", "")
    fields[22] = timestamp(now)
    fields[25] = report.status
    fields[27] = quantity
    return fields


def study_line(uid: str) -> list[str]:
    """Name the study in the first OBX, as IHE RAD does; its status is O: an order detail, no result (table 0085)."""
    return ["OBX", "1", "ST", ce(STUDY_UID), "", st(uid), "", "", "", "", "", "O"]


def observation_lines(observations: Iterable[OruObservation], report: OruReport, *, start: int = 1) -> list[list[str]]:
    """Write the OBX of a group, numbered from ``start``."""
    at = timestamp(report.observed_at)
    return [
        [
            *("OBX", str(number), item.value_type, ce(item.identifier), st(item.sub_id), _value(item)),
            *(ce(item.unit) if item.unit else "", st(item.reference_range), st(item.flag)),
            *("", "", report.status, "", "", at),
        ]
        for number, item in enumerate(observations, start)
    ]


def _numbers(report: OruReport) -> tuple[str, str]:
    """Return OBR-2 and OBR-3: the order's as it had them; a result without any names the accession number as filler."""
    orc, obr = _copied(report.context, "ORC"), _copied(report.context, "OBR")
    placer = obr.get("2") or orc.get("2") or ei(report.placer_number)
    filler = obr.get("3") or orc.get("3") or ei(report.filler_number) or st(report.accession_number)
    return placer, filler


def _copied(context: Mapping[str, Any], name: str) -> Mapping[str, str]:
    fields = context.get(name)
    return fields if isinstance(fields, Mapping) else {}


def _value(item: OruObservation) -> str:
    if isinstance(item.value, Concept):
        return ce(item.value)
    if item.value_type == "NM":
        return decimal(float(item.value))
    if item.value_type == "ED":  # source, type, subtype, encoding, data; Base64 has no delimiter in it
        return f"^application^pdf^Base64^{item.value}"
    if item.value_type == "TX":  # repetitions are lines (section 2.A.78)
        return "~".join(escape(line.rstrip(), newline="") for line in str(item.value).strip().splitlines())
    return st(str(item.value))
