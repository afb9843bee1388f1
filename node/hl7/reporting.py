"""What a result message says: frozen dataclasses, nothing else. :mod:`node.hl7.segments` writes them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from node.hl7.writing import Concept

SCHEME = "99OVERREAD"
"""Coding scheme of what is the node's own."""

IMAGE_ANALYSIS = Concept("AI-IMAGE-ANALYSIS", SCHEME, "Automated image analysis")

MAX_DOCUMENT_BYTES = 6 << 20
"""Longest PDF that is put into a message: 8 MiB in Base64. Many receivers take no more than 10 or 16 MiB."""

ValueType = Literal["NM", "CWE", "ST", "TX", "ED"]
_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class OruObservation:
    """One OBX.

    ``value`` is a number for NM, a :class:`Concept` for CWE, a PDF in Base64 for ED, else text. ``unit`` is a UCUM
    concept, ``flag`` of table 0078. Observations with the same ``sub_id`` belong together (such as a volume and its
    interval).
    """

    identifier: Concept
    value_type: ValueType
    value: float | str | Concept
    unit: Concept | None = None
    sub_id: str = ""
    flag: str = ""
    reference_range: str = ""


@dataclass(frozen=True, slots=True)
class OruPatient:
    """Who it is about; ``name`` is a DICOM PN, dates are ``YYYYMMDD``."""

    id: str
    issuer: str = ""
    name: str = ""
    birth_date: str = ""
    sex: str = ""


@dataclass(frozen=True, slots=True)
class OruFact:
    """A fact of a note: ``start`` and ``end`` are character offsets, ``assertion`` a word such as "present".

    ``details`` are further properties of it: a quantity, a side, a time.
    """

    code: Concept
    kind: str
    assertion: str
    document_number: str
    start: int
    end: int
    section: str = ""
    details: tuple[OruObservation, ...] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """A DICOM object that belongs to the report: what it is ("SEG", "SR") and its SOP Instance UID."""

    kind: str
    uid: str


@dataclass(frozen=True)
class OruReport:
    """Everything that the message says.

    Parameters
    ----------
    status
        ``"P"`` preliminary: nobody verified it; ``"C"``: it corrects one that was sent before (table 0123).
    context
        :attr:`node.records.schema.Order.context` of the matched order, or empty: ORC, OBR, PV1 and SPM to copy.
    placer_number, filler_number
        ``id^namespace``, used where the context has none.
    observations
        What the images show.
    assessment
        What images and record say together: scores, and sentences with their evidence.
    lines
        Findings as sentences, one OBX each.
    document
        The PDF report, or empty; one longer than :data:`MAX_DOCUMENT_BYTES` is left out, and the message says so.
    accept, application
        MSH-15 and MSH-16 (table 0155): conditions of the accept and of the application acknowledgement; both empty in
        the original mode (section 2.9.2).
    """

    patient: OruPatient
    study_uid: str
    observed_at: dt.datetime
    model: str
    model_version: str
    disclaimer: str
    accession_number: str = ""
    status: Literal["P", "C"] = "P"
    procedure: Concept = IMAGE_ANALYSIS
    placer_number: str = ""
    filler_number: str = ""
    context: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    observations: tuple[OruObservation, ...] = ()
    assessment: tuple[OruObservation, ...] = ()
    facts: tuple[OruFact, ...] = ()
    lines: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    document: bytes = b""
    sending_application: str = "OVERREAD"
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    accept: str = ""
    application: str = ""
