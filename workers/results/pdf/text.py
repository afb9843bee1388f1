"""What the PDF report says: patient, study, findings, key images, context, model and limits, as plain texts."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import DA, TM, PersonName

from models.contracts import Finding, InputKind
from workers.results.clinical import presence, stated
from workers.results.common import (
    DISCLAIMER,
    OrderContext,
    ReportedFact,
    ResultInput,
    document_uid,
    local_time,
)
from workers.results.pdf.assessment import assessment_sections
from workers.results.pdf.page import Cell, Pairs, Section, Sheet, Table
from workers.results.pdf.page import Picture as Shown
from workers.results.pictures.bars import bars, value
from workers.results.pictures.drawing import Slice, render
from workers.results.pictures.marks import colour_of
from workers.results.pictures.page import place
from workers.results.pictures.single import Picture, picture_of
from workers.results.wording import (
    NOTHING_FOUND,
    confidence_of,
    interval,
    name_of,
    operating_points,
    quantity,
    spec_of,
    told,
)

#: Side of a key image in pixels: 190 dots per inch where two are printed side by side, 280 where three are.
SIDE = 640

#: Side of the one picture of a result that is not of a volume, which is printed larger.
LARGE = 960

#: Most rows of a table: a report is for reading, and the structured report has all.
ROWS = 200

#: Stands where a header does not say what identifies the patient.
UNKNOWN = "not given"

SEXES = {"M": "male", "F": "female", "O": "other"}


def sheet(inp: ResultInput, image: Dataset) -> Sheet:
    """Say everything.

    Parameters
    ----------
    inp
        What is reported.
    image
        Header of the first source image, decoded and completed (:func:`workers.results.headers.prepare`).
    """
    name = " · ".join(names(image.get("PatientName")))
    return Sheet(
        title=inp.card.title,
        kicker=" · ".join(filter(None, ("AUTOMATED RESULT, NOT VERIFIED", inp.institution))),
        warning=DISCLAIMER,
        left=Section("Patient", pairs=_patient(image)),
        right=Section("Study", pairs=_study(inp, image)),
        sections=tuple(_sections(inp)),
        running=" · ".join(filter(None, (name, said(image, "PatientID"), said(image, "AccessionNumber")))),
        now=inp.now,
    )


def _sections(inp: ResultInput) -> Iterator[Section]:
    yield _findings(inp)
    if inp.assessment is not None:
        yield from assessment_sections(inp.prediction, inp.assessment)
    if inp.prediction.warnings:
        yield Section("Limits of this result", bullets=inp.prediction.warnings)
    if inp.key_slices:
        yield _images(inp)
    if inp.kind is not InputKind.RECORD and (picture := picture_of(inp, paper=True, least=LARGE)) is not None:
        yield _picture(picture)
    if inp.prediction.contributions:
        yield _values(inp)
    if inp.order is not None and any(value for _, value in _order(inp.order)):
        yield Section("Request", note="As the order says; the model does not read it.", pairs=_order(inp.order))
    if inp.note_facts:
        yield _context(inp.note_facts)
    yield Section("Model", pairs=_model(inp))
    if inp.card.limits:
        yield Section("Known limits of the model", bullets=inp.card.limits)
    yield Section("This document", pairs=_document(inp))


def _patient(image: Dataset) -> Pairs:
    spellings = names(image.get("PatientName")) or [UNKNOWN]
    return (
        *((("Name" if at == 0 else "Also written"), name) for at, name in enumerate(spellings)),
        ("Patient ID", said(image, "PatientID") or UNKNOWN),
        ("Birth date", _date(image, "PatientBirthDate") or UNKNOWN),
        ("Sex", SEXES.get(said(image, "PatientSex"), UNKNOWN)),
    )


def _study(inp: ResultInput, image: Dataset) -> Pairs:
    series = " · ".join(filter(None, (said(image, "SeriesNumber"), said(image, "SeriesDescription"))))
    return (
        ("Date", f"{_date(image, 'StudyDate')} {_time(image, 'StudyTime')}"),
        ("Description", said(image, "StudyDescription")),
        ("Accession number", said(image, "AccessionNumber")),
        ("Modality", said(image, "Modality")),
        ("Series", f"{series} {_count(inp, image)}".strip()),
        ("Referring physician", " · ".join(names(image.get("ReferringPhysicianName")))),
    )


def _count(inp: ResultInput, image: Dataset) -> str:
    """How many images were read; nothing of a waveform, or where the record was read."""
    if inp.kind not in (InputKind.VOLUME, InputKind.RADIOGRAPH):
        return ""
    count = len(inp.sources) if len(inp.sources) > 1 else said(image, "NumberOfFrames")
    return f"({count} images)" if inp.kind is InputKind.VOLUME else "(1 image)"


def _findings(inp: ResultInput) -> Section:
    prediction = inp.prediction
    rows = [row for finding in prediction.findings for row in _rows(inp, finding)]
    if not rows:
        return Section("What the model reports", bullets=(NOTHING_FOUND,))
    head = ("Finding", "Measurement", "Value", "Interval or range", "Confidence")
    more = f"{len(rows) - ROWS} more rows are in the structured report." if len(rows) > ROWS else ""
    table = Table(head, (34, 26, 11, 19, 12), tuple(rows[:ROWS]))
    return Section("What the model reports", table=table, bullets=(more,) if more else ())


def _rows(inp: ResultInput, finding: Finding) -> Iterator[tuple[Cell, ...]]:
    """One row for each measurement; the first says what was found."""
    what = _lines(told(inp.prediction, finding, inp.card), finding.text)
    sure = _lines(confidence_of(finding))
    if not finding.measurements:
        yield (what, (), (), (), sure)
    for at, measurement in enumerate(finding.measurements):
        numbers = (_lines(measurement.name.meaning, measurement.method), (quantity(measurement),))
        yield (what if at == 0 else (), *numbers, (interval(measurement),), sure if at == 0 else ())


def _lines(*texts: str) -> Cell:
    return tuple(filter(None, texts))


def _images(inp: ResultInput) -> Section:
    drawn = [Slice.of(inp, key) for key in inp.key_slices]
    pictures = tuple(Shown(render(inp, each, SIDE), place(inp, each)) for each in drawn)
    shown = frozenset[int]().union(*(each.segments for each in drawn))
    prediction = inp.prediction
    legend = [(spec.rgb, spec.name) for spec in prediction.segments if spec.label in shown]
    legend += [
        (colour_of(prediction, finding), name_of(prediction, finding))
        for finding in prediction.findings
        if finding.regions and spec_of(prediction, finding) is None
    ]
    note = "The slices that show most of what was found. Not for diagnosis: use the images themselves."
    return Section("Key images", note=note, pictures=pictures, legend=tuple(dict.fromkeys(legend)))


def _picture(picture: Picture) -> Section:
    legend = tuple((colour, name) for name, colour in picture.beside.legend)
    note = f"{picture.beside.place} Not for diagnosis: use the original."
    return Section("What the model saw", note=note, pictures=(Shown(picture.pixels, ""),), legend=legend)


def _values(inp: ResultInput) -> Section:
    """The record's values with how far each moved the answer."""
    head = ("Value of the record", "As it was", "Change of log-odds", "Remark")
    rows = tuple(
        ((item.name.meaning or item.name.value,), (value(item),), (f"{item.weight:+.2f}",), _lines(item.text))
        for item in inp.prediction.contributions[:ROWS]
    )
    note = "Against a patient with the usual value of the training set; above 0 it raises the answer. It is no cause."
    picture = Shown(bars(inp.prediction.contributions, light=True), "")
    table = Table(head, (40, 20, 18, 24), rows)
    return Section("Values of the record", note=note, table=table, pictures=(picture,))


def _order(order: OrderContext) -> Pairs:
    procedure = order.procedure_text or (order.procedure.meaning if order.procedure else "")
    return (
        ("Procedure", procedure),
        ("Reason", order.reason),
        ("Accession number", order.accession_number),
        ("Placer, filler number", " / ".join(filter(None, (order.placer_number, order.filler_number)))),
    )


def _context(facts: tuple[ReportedFact, ...]) -> Section:
    head = ("Statement", "As the note has it", "Written", "Where it stands")
    rows = tuple(
        ((fact.code.meaning or fact.code.value,), (_how(fact),), (_when(fact),), (_where(fact),))
        for fact in facts[:ROWS]
    )
    more = (f"{len(facts) - ROWS} more statements are in the structured report.",) if len(facts) > ROWS else ()
    return Section(
        "Clinical information",
        note="Read by software from the patient's notes. These are not findings of the model.",
        table=Table(head, (30, 30, 14, 28), rows),
        bullets=more,
    )


def _how(fact: ReportedFact) -> str:
    words = [fact.kind.replace("_", " "), presence(fact).meaning.lower()]
    words += [word for word, said in (("in the past", fact.historical), ("supposed", fact.hypothetical)) if said]
    words += [] if fact.experiencer == "patient" else [f"of {fact.experiencer.value}"]
    words += [said for _, said in stated(fact)]
    return ", ".join(words)


def _when(fact: ReportedFact) -> str:
    return fact.written_at.strftime("%Y-%m-%d") if fact.written_at is not None else ""


def _where(fact: ReportedFact) -> str:
    section = f"section {fact.section}" if fact.section else ""
    characters = f"characters {fact.start} to {fact.end}" if fact.end else ""
    return ", ".join(filter(None, (fact.document_number, section, characters)))


def _model(inp: ResultInput) -> Pairs:
    card = inp.card
    return (
        ("Name, version", f"{card.name} {card.version}"),
        ("Operating point", operating_points(inp.prediction, card)),
        ("What it does", card.summary),
        ("Intended use", card.intended_use),
        ("Training data", card.data),
        ("Licence", card.licence),
        ("Weights (SHA-256)", card.weights_sha256),
        *(("Reference", reference) for reference in card.references),
    )


def _document(inp: ResultInput) -> Pairs:
    read = {InputKind.VOLUME: "Images read", InputKind.RADIOGRAPH: "Image read", InputKind.WAVEFORM: "Waveform read"}
    superseded = inp.predecessor.sop_instance_uid if inp.predecessor else ""
    return (
        ("Made", local_time(inp).strftime("%Y-%m-%d %H:%M")),
        ("Software", f"Overread {inp.software_version}"),
        ("Document UID", document_uid(inp, "pdf")),
        ("Supersedes", superseded),
        (read.get(inp.kind, "Made for"), f"series {inp.image.SeriesInstanceUID}"),
    )


def names(value: object) -> list[str]:
    """Spellings of a name (PS3.5 6.2.1.1): letters, ideographs, sounds; each once, with its components in order.

    Letters are written "family, given middle"; in the other two groups family and given name follow each other.
    """
    if isinstance(value, MultiValue | list):
        value = next(iter(value), None)
    if not value:
        return []
    groups = (*PersonName(str(value)).components, "", "", "")[:3]
    return list(dict.fromkeys(filter(None, (_letters(groups[0]), *map(_plain, groups[1:])))))


def _letters(group: str) -> str:
    family, given, middle, prefix, suffix = ([part.strip() for part in group.split("^")] + [""] * 5)[:5]
    rest = " ".join(filter(None, (prefix, given, middle)))
    return ", ".join(filter(None, (family, rest, suffix)))


def _plain(group: str) -> str:
    return " ".join(part.strip() for part in group.split("^") if part.strip())


def said(image: Dataset, keyword: str) -> str:
    """A value as text; of several the parts with a slash between, "" where there is none."""
    value = image.get(keyword)
    if value is None:
        return ""
    return " / ".join(map(str, value)) if isinstance(value, MultiValue) else str(value)


def _date(image: Dataset, keyword: str) -> str:
    try:
        date = DA(said(image, keyword))
    except ValueError:
        return said(image, keyword)
    return date.strftime("%Y-%m-%d") if date else ""


def _time(image: Dataset, keyword: str) -> str:
    try:
        time = TM(said(image, keyword))
    except ValueError:
        return ""
    return time.strftime("%H:%M") if time else ""
