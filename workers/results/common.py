"""What every builder shares: its input, UIDs that a retry makes again, and codes."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from models.contracts import Code, Experiencer, ModelCard, Prediction, Side

#: Name space of all UIDs that are derived here: never changed, or retries of older jobs would make new objects.
NAMESPACE = uuid.UUID("5b1f5a37-0a67-5d0c-9a3e-0c1d53a6f2b4")

#: Who makes the objects: Manufacturer (0008,0070) and the name under which the node stands in Contributing Equipment.
MANUFACTURER = "Overread"

#: Said in every object that is built; shown beside every result.
DISCLAIMER = (
    "Not a medical device. Automated result of a research model, not verified by a physician; "
    "it must not be the only basis of a decision about a patient."
)

#: CID 244 Laterality.
LATERALITY: Mapping[Side, Code] = {
    Side.LEFT: Code("7771000", "SCT", "Left"),
    Side.RIGHT: Code("24028007", "SCT", "Right"),
}

#: CID 7162: what kind of algorithm made the result.
ALGORITHM_FAMILY = codes.cid7162.ArtificialIntelligence


@dataclass(frozen=True, slots=True)
class ReportedFact:
    """One fact of a clinical note as the report shows it, with where it stands.

    ``kind`` is a :class:`models.contracts.FactKind` value; ``document_number``, ``section``, ``start`` and ``end``
    (character offsets into the note's text) lead back to the words.
    """

    code: Code
    kind: str = "problem"
    negated: bool = False
    uncertain: bool = False
    historical: bool = False
    hypothetical: bool = False
    experiencer: Experiencer = Experiencer.PATIENT
    document_number: str = ""
    section: str = ""
    written_at: dt.datetime | None = None
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class OrderContext:
    """The order that the study answers; numbers as the order's message had them."""

    accession_number: str = ""
    placer_number: str = ""
    filler_number: str = ""
    procedure: Code | None = None
    procedure_text: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The report that a new one supersedes."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, eq=False)
class ResultInput:
    """Everything that builders need; they read nothing else, so the same input makes the same object.

    Parameters
    ----------
    sources
        Headers of the image series, without pixel data, in slice order (one for a multi-frame image).
    prediction
        What the model said, on the grid of those slices.
    card
        The model's card.
    input_digest, context_digest
        Digests of the instances, and of notes and order; they go into UIDs.
    job_id
        The job's identifier.
    now
        Aware time that stands as content time: the job's creation, so that a retry makes the same bytes.
    software_version
        The node's version.
    note_facts
        Facts of the patient's notes.
    order
        The order, where it is known.
    institution
        Where the node stands, or "".
    predecessor
        The report that this one supersedes.
    """

    sources: tuple[Dataset, ...]
    prediction: Prediction
    card: ModelCard
    input_digest: str
    context_digest: str
    job_id: str
    now: dt.datetime
    software_version: str
    note_facts: tuple[ReportedFact, ...] = ()
    order: OrderContext | None = None
    institution: str = ""
    predecessor: Predecessor | None = None

    @property
    def image(self) -> Dataset:
        """Header of the first slice."""
        return self.sources[0]


def derive_uid(*parts: str) -> str:
    """Derive a UID from ``parts``: a UUIDv5 written as a decimal under 2.25 (PS3.5 section B.2).

    Parts are joined by a character that none of them holds, so ``("a", "b")`` and ``("ab",)`` differ.
    """
    return f"2.25.{uuid.uuid5(NAMESPACE, chr(31).join(parts)).int}"


def _model_parts(inp: ResultInput) -> tuple[str, ...]:
    return (
        str(inp.image.StudyInstanceUID),
        str(inp.image.SeriesInstanceUID),
        inp.card.name,
        inp.card.version,
        inp.card.weights_sha256,
    )


def series_uid(inp: ResultInput, kind: str) -> str:
    """Series that holds the results of one kind of one model on one series."""
    return derive_uid("series", *_model_parts(inp), kind)


def seg_uid(inp: ResultInput) -> str:
    """SOP Instance UID of the segmentation: another one for other images or another model."""
    return derive_uid(*_model_parts(inp), inp.input_digest, "seg")


def sr_uid(inp: ResultInput) -> str:
    """SOP Instance UID of the report: as the segmentation's, and another one for other notes or another order."""
    return derive_uid(*_model_parts(inp), inp.input_digest, inp.context_digest, "sr")


def device_uid(card: ModelCard) -> str:
    """UID of the model as an observing device: its weights are what observes."""
    return derive_uid("device", card.name, card.version, card.weights_sha256)


def device_serial(card: ModelCard) -> str:
    """Device Serial Number (0018,1000): the beginning of the weights' digest names the one device there is of them."""
    return (card.weights_sha256 or hashlib.sha256(f"{card.name} {card.version}".encode()).hexdigest())[:16]


def tracking_id(inp: ResultInput, label: str) -> str:
    """Tracking Identifier for people: model and label."""
    return f"{inp.card.name} {label}"


def tracking_uid(inp: ResultInput, label: str) -> str:
    """Tracking Unique Identifier: one per series and label, the same for every model version and retry."""
    return derive_uid("tracking", str(inp.image.SeriesInstanceUID), inp.card.name, label)


def segment_numbers(prediction: Prediction) -> dict[int, int]:
    """Segment Number of each label value: from 1 upwards by one, as PS3.3 C.8.20.4 wants, in the model's order."""
    return {segment.label: number for number, segment in enumerate(prediction.segments, 1)}


def segment_tracking_label(inp: ResultInput, label: int) -> str:
    """Label that a segment and its finding share for tracking: the finding's, or the segment's where none draws it."""
    for finding in inp.prediction.findings:
        if finding.segment == label:
            return finding.label
    return f"segment-{label}"


def long_string(text: str) -> str:
    """Make a text fit VR LO (PS3.5 6.2): one line, 64 characters, no backslash, which would begin a second value."""
    return " ".join(text.replace("\\", "/").split())[:64]


def concept(code: Code) -> CodedConcept:
    """Turn a code of the contracts into highdicom's; Code Meaning, which may not be empty, falls back on the value."""
    meaning = long_string(code.meaning) or code.value
    return CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=meaning)


def series_number(source: Dataset, offset: int) -> int:
    """Series Number that sorts behind the images: 10051 and 10052 belong to series 5."""
    try:
        base = int(source.get("SeriesNumber") or 0)
    except (TypeError, ValueError):  # no number, or several
        base = 0
    return (1000 + (base if 0 <= base < 100_000_000 else 0)) * 10 + offset


def local_time(inp: ResultInput) -> dt.datetime:
    """Content time as the source images count it: with their offset from UTC if they name one, else this machine's."""
    offset = str(inp.image.get("TimezoneOffsetFromUTC") or "")
    try:
        zone = dt.datetime.strptime(offset, "%z").tzinfo if offset else None
    except ValueError:
        zone = None
    return inp.now.astimezone(zone)
