"""Encapsulated PDF report of a prediction (PS3.3 A.45.1): for people who have no viewer of structured reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from highdicom import ContributingEquipment, SOPClass
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from models.contracts import Code, InputKind
from workers.reading.instances import quiet
from workers.results.common import (
    Predecessor,
    ResultInput,
    concept,
    document_uid,
    series_number,
    series_uid,
)
from workers.results.equipment import equipment, node_equipment, settle
from workers.results.headers import prepare, prepare_one
from workers.results.pdf.page import lay_out
from workers.results.pdf.text import sheet
from workers.results.profile import Profile


class _EncapsulatedPDF(SOPClass):
    """What highdicom's other classes do for every object: patient, study and equipment."""

    def __init__(self, inp: ResultInput, image: Dataset) -> None:
        super().__init__(
            study_instance_uid=image.StudyInstanceUID,
            series_instance_uid=series_uid(inp, "pdf"),
            series_number=series_number(inp.image, "pdf"),
            series_description=f"PDF {inp.card.title}"[:64],
            sop_instance_uid=document_uid(inp, "pdf"),
            sop_class_uid=EncapsulatedPDFStorage,
            instance_number=1,
            modality="DOC",
            transfer_syntax_uid=ExplicitVRLittleEndian,
            **equipment(inp),
        )
        self.copy_patient_and_study_information(image)
        known = image.get("Manufacturer") and "Rows" in image  # highdicom describes what made an image only
        scanner = [ContributingEquipment.for_image_acquisition(image)] if known else []
        self._add_contributing_equipment([*scanner, node_equipment(inp)])


def build_pdf(inp: ResultInput, _profile: Profile, _built: Mapping[str, Sequence[Dataset]]) -> Sequence[Dataset]:
    """Build the PDF report of a prediction.

    Returns
    -------
    sequence of pydicom.dataset.Dataset
        One Encapsulated PDF Storage instance with File Meta; also where the model found nothing, since the report then
        says so.

    Raises
    ------
    ValueError
        If a key slice or the prediction's labels have another shape than the source series.
    """
    with quiet():
        texts, volume = [*_texts(inp)], inp.kind is InputKind.VOLUME
        image = prepare(inp.sources, texts)[0] if volume else prepare_one(inp.image, texts)
        document = lay_out(sheet(inp, image))
        pdf = _EncapsulatedPDF(inp, image)
    _describe(pdf, inp)
    pdf.MIMETypeOfEncapsulatedDocument = "application/pdf"
    pdf.EncapsulatedDocumentLength = len(document)
    pdf.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    settle(pdf, inp, image)
    return (pdf,)


def pages(pdf: Dataset) -> bytes:
    """Return the document itself, without the byte that makes its length even."""
    return bytes(pdf.EncapsulatedDocument)[: int(pdf.EncapsulatedDocumentLength)]


def _describe(pdf: Dataset, inp: ResultInput) -> None:
    """Encapsulated Document module (PS3.3 C.24.2)."""
    pdf.ConversionType = "WSD"
    pdf.AcquisitionDateTime = None  # type 2: the images' times stand in the images
    pdf.BurnedInAnnotation = "YES"  # the pages name the patient
    pdf.SourceInstanceSequence = [_reference(image) for image in inp.sources]
    pdf.DocumentTitle = _title(inp)
    # The title of the structured report too. Not "Diagnostic imaging report": that is what a physician signs.
    title = codes.cid7021.ImagingMeasurementReport
    pdf.ConceptNameCodeSequence = [concept(Code(title.value, title.scheme_designator, title.meaning))]
    pdf.VerificationFlag = "UNVERIFIED"
    if inp.predecessor is not None:
        pdf.PredecessorDocumentsSequence = [_superseded(inp, inp.predecessor)]


def _title(inp: ResultInput) -> str:
    return f"{inp.card.title}: automated result, not verified"


def _reference(image: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    return item


def _superseded(inp: ResultInput, before: Predecessor) -> Dataset:
    """The report that this one supersedes (PS3.3 C.24.2 has the place; table 10-4 the form)."""
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID = before.sop_class_uid or EncapsulatedPDFStorage
    instance.ReferencedSOPInstanceUID = before.sop_instance_uid
    series.SeriesInstanceUID, series.ReferencedSOPSequence = before.series_instance_uid, [instance]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = inp.image.StudyInstanceUID, [series]
    return study


def _texts(inp: ResultInput) -> Iterator[str]:
    yield from (inp.card.name, inp.card.title, inp.card.version, inp.institution, inp.software_version)
