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

from models.contracts import (
    Code,
    Finding,
    FloatArray,
    InputKind,
    ModelCard,
    Prediction,
    Radiograph,
    Side,
    Waveform,
)
from models.facts import Experiencer, Quantity
from models.fusion.contracts import Assessment
from workers.results.profile import DEFAULT, Profile

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

    ``kind`` is a :class:`models.facts.FactKind` value; ``document_number``, ``section``, ``start`` and ``end``
    (character offsets into the note's text) lead back to the words; ``quantity``, ``when`` and ``side`` are as in
    :class:`models.facts.NoteFact`.
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
    quantity: Quantity | None = None
    when: str = ""
    side: str = ""


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
class KeySlice:
    """Pixels of a slice that people should look at.

    Parameters
    ----------
    index
        Slice, in the order of :attr:`ResultInput.sources` (frame order of the array for a multi-frame image).
    array
        ``[row, column]`` float32, modality values.
    """

    index: int
    array: FloatArray


@dataclass(frozen=True, eq=False)
class ResultInput:
    """Everything that builders need; they read nothing else, so the same input makes the same object.

    Parameters
    ----------
    sources
        Headers of what was read, without pixels and samples: of an image series in slice order (one for a multi-frame
        image), else the one of the radiograph or waveform; of a model that reads the record, one of the series that
        its job runs on.
    prediction
        What the model said, on the grid of the source.
    card
        The model's card.
    input_digest, context_digest
        Digests of the instances, and of notes, order and assessment; they go into UIDs.
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
    assessment
        What images and record say together; None where it was not made.
    institution
        Where the node stands, or "".
    predecessor
        The document of the same kind and profile that this one supersedes.
    key_slices
        Pixels of the slices that :func:`workers.results.keys.key_slices` chooses; empty where nothing that shows
        pixels is built.
    seen
        The radiograph or waveform as the model had it, for pictures; None for other kinds, and where nothing that shows
        it is built.
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
    assessment: Assessment | None = None
    institution: str = ""
    predecessor: Predecessor | None = None
    key_slices: tuple[KeySlice, ...] = ()
    seen: Radiograph | Waveform | None = None

    @property
    def image(self) -> Dataset:
        """Header of the first slice, or of the one instance that there is."""
        return self.sources[0]

    @property
    def kind(self) -> InputKind:
        """Which kind of source the prediction is of."""
        return self.card.requirements.kind


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


def series_uid(inp: ResultInput, kind: str, profile: Profile = DEFAULT) -> str:
    """Series that holds the results of one kind and profile of one model on one series."""
    return derive_uid("series", *_model_parts(inp), kind, *_profile_parts(profile))


def image_uid(inp: ResultInput, kind: str, profile: Profile = DEFAULT, *parts: str) -> str:
    """SOP Instance UID of an object that depends on the input and the model alone."""
    return derive_uid(*_input_parts(inp), kind, *_profile_parts(profile), *parts)


def document_uid(inp: ResultInput, kind: str, profile: Profile = DEFAULT) -> str:
    """SOP Instance UID of a document, which tells of notes and order too: another one for others of these."""
    return derive_uid(*_input_parts(inp), inp.context_digest, kind, *_profile_parts(profile))


def _input_parts(inp: ResultInput) -> tuple[str, ...]:
    """What a model's answer rests on: the instances and, where it reads the record, which values it took from there."""
    parts = (*_model_parts(inp), inp.input_digest)
    if inp.card.requirements.record is None:
        return parts
    values = [f"{item.name.scheme} {item.name.value} {item.value}" for item in inp.prediction.contributions]
    scores = [f"{name} {value:.3g}" for name, value in sorted(inp.prediction.scores.items())]
    return (*parts, hashlib.sha256("\n".join([*values, *scores]).encode()).hexdigest())


def _profile_parts(profile: Profile) -> tuple[str, ...]:
    return (profile.key,) if profile.key else ()


def seg_uid(inp: ResultInput) -> str:
    """SOP Instance UID of the default segmentation."""
    return image_uid(inp, "seg")


def sr_uid(inp: ResultInput) -> str:
    """SOP Instance UID of the default report."""
    return document_uid(inp, "sr")


def device_uid(card: ModelCard) -> str:
    """UID of the model as an observing device: its weights are what observes."""
    return derive_uid("device", card.name, card.version, card.weights_sha256)


def device_serial(card: ModelCard) -> str:
    """Device Serial Number (0018,1000): the beginning of the weights' digest names the one device there is of them."""
    return (card.weights_sha256 or hashlib.sha256(f"{card.name} {card.version}".encode()).hexdigest())[:16]


def tracking_id(inp: ResultInput, of: Finding | str) -> str:
    """Tracking Identifier for people: model, label, side and lesion, and which of several that are alike in these."""
    finding = _finding(inp, of)
    if finding is None:
        return f"{inp.card.name} {of}"
    place = _place(inp, finding)
    words = (inp.card.name, finding.label, finding.side or "", finding.lesion, str(place + 1) if place else "")
    return " ".join(word for word in words if word)


def tracking_uid(inp: ResultInput, of: Finding | str) -> str:
    """Tracking Unique Identifier: the same for the same thing in every study of the patient, version and retry.

    A thing is told from others by its label with its side, or by the name of the lesion that the model gives. Where
    neither side nor lesion is known, where several findings are alike in both, or the patient has no identifier, it is
    the same within its series only: two things must never share an identifier (PS3.3 table C.8.20-4).

    Parameters
    ----------
    inp
        What is reported.
    of
        A finding, or the label of one; of findings with the same label the first.
    """
    series, patient = str(inp.image.SeriesInstanceUID), str(inp.image.get("PatientID") or "")
    finding = _finding(inp, of)
    if finding is None:
        return derive_uid("tracking", series, inp.card.name, str(of))
    identity = (finding.side or "", finding.lesion)
    place, alike = _place(inp, finding), len(_alike(inp, finding))
    if patient and any(identity) and alike == 1:
        issuer = str(inp.image.get("IssuerOfPatientID") or "")
        return derive_uid("tracking", issuer, patient, inp.card.name, finding.label, *identity)
    told = (*identity, str(place)) if any(identity) or place else ()
    return derive_uid("tracking", series, inp.card.name, finding.label, *told)


def _finding(inp: ResultInput, of: Finding | str) -> Finding | None:
    if isinstance(of, Finding):
        return of
    return next((finding for finding in inp.prediction.findings if finding.label == of), None)


def _alike(inp: ResultInput, finding: Finding) -> list[Finding]:
    identity = (finding.label, finding.side, finding.lesion)
    return [other for other in inp.prediction.findings if (other.label, other.side, other.lesion) == identity]


def _place(inp: ResultInput, finding: Finding) -> int:
    """Tell which a finding is of those that are alike: 0 for the only one."""
    return next((place for place, other in enumerate(_alike(inp, finding)) if other is finding), 0)


def segment_numbers(prediction: Prediction) -> dict[int, int]:
    """Segment Number of each label value: from 1 upwards by one, as PS3.3 C.8.20.4 wants, in the model's order."""
    return {segment.label: number for number, segment in enumerate(prediction.segments, 1)}


def segment_tracking_label(inp: ResultInput, label: int) -> Finding | str:
    """Tell what a segment and its finding share for tracking: the finding, or a label where none is drawn by it."""
    for finding in inp.prediction.findings:
        if finding.segment == label:
            return finding
    return f"segment-{label}"


def long_string(text: str) -> str:
    """Make a text fit VR LO (PS3.5 6.2): one line, 64 characters, no backslash, which would begin a second value."""
    return " ".join(text.replace("\\", "/").split())[:64]


def concept(code: Code) -> CodedConcept:
    """Turn a code of the contracts into highdicom's; Code Meaning, which may not be empty, falls back on the value."""
    meaning = long_string(code.meaning) or code.value
    return CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=meaning)


#: Last digit of the Series Number, by kind.
SERIES_DIGITS: Mapping[str, int] = {"seg": 1, "sr": 2, "pm": 3, "kos": 4, "gsps": 5, "sc": 6, "pdf": 7}


def series_number(source: Dataset, kind: str) -> int:
    """Series Number that sorts behind the images: 10051 (seg) and 10052 (sr) belong to series 5."""
    try:
        base = int(source.get("SeriesNumber") or 0)
    except (TypeError, ValueError):  # no number, or several
        base = 0
    return (1000 + (base if 0 <= base < 100_000_000 else 0)) * 10 + SERIES_DIGITS[kind]


def local_time(inp: ResultInput) -> dt.datetime:
    """Content time as the source images count it: with their offset from UTC if they name one, else this machine's."""
    offset = str(inp.image.get("TimezoneOffsetFromUTC") or "")
    try:
        zone = dt.datetime.strptime(offset, "%z").tzinfo if offset else None
    except ValueError:
        zone = None
    return inp.now.astimezone(zone)
