"""Comprehensive 3D SR of a prediction and the clinical context it was read in: TID 1500 (PS3.16, PS3.3 A.35.13)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from highdicom.sr import (
    CodeContentItem,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    ImageContentItem,
    LanguageOfContentItemAndDescendants,
    ObservationContext,
    ObserverContext,
    RelationshipTypeValues,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import Comprehensive3DSRStorage

from models import contracts
from models.contracts import InputKind
from workers.reading.instances import quiet
from workers.results import assessed, clinical, rested
from workers.results.common import (
    DISCLAIMER,
    MANUFACTURER,
    ResultInput,
    concept,
    device_serial,
    device_uid,
    document_uid,
    long_string,
    series_number,
    series_uid,
)
from workers.results.equipment import equipment, node_equipment, settle
from workers.results.groups import algorithm, comment, measurement_groups, qualitative_evaluations
from workers.results.headers import prepare, prepare_one
from workers.results.profile import DEFAULT, Profile
from workers.results.subjects import SOURCE, container, procedure, subject

LANGUAGE = contracts.Code("en-US", "RFC5646", "English (United States)")


def build_sr(inp: ResultInput, segs: Sequence[Dataset] = (), profile: Profile = DEFAULT) -> Dataset:
    """Build the report of a prediction.

    Parameters
    ----------
    inp
        What is reported.
    segs
        Segmentations that draw it, as :func:`workers.results.seg.volume.build_segs` made them in the same profile;
        empty where nothing is drawn.
    profile
        Form of the results: a report for each, since each refers to the segmentations of its own.

    Returns
    -------
    pydicom.dataset.Dataset
        Comprehensive 3D SR Storage instance with File Meta: complete, unverified and preliminary, since an automated
        result is never the definitive means of communication (PS3.3 C.17.2).
    """
    with quiet():
        texts = [*_texts(inp)]
        volume = inp.kind is InputKind.VOLUME
        first = prepare(inp.sources[:1], texts)[0] if volume else prepare_one(inp.image, texts)
        sr = Comprehensive3DSR(
            evidence=[first, *inp.sources[1:], *segs],
            content=_content(inp, segs),
            series_instance_uid=series_uid(inp, "sr", profile),
            series_number=series_number(inp.image, "sr"),
            sop_instance_uid=document_uid(inp, "sr", profile),
            instance_number=1,
            series_description=f"SR {inp.card.title}"[:64],
            is_complete=True,
            is_verified=False,
            is_final=False,
            requested_procedures=_requests(inp),
            previous_versions=_predecessors(inp),
            contributing_equipment=[node_equipment(inp)],
            specific_character_set=None,
            **equipment(inp),
        )
        _list_images(sr, inp)
        rested.refer_to_waveform(sr, inp)
        if inp.assessment is not None:
            _add_assessment(sr, assessed.assessment(inp.prediction, inp.assessment))
    sr.CompletionFlagDescription = "All that the model reports; not verified by a physician"
    settle(sr, inp, first)
    return sr


def _content(inp: ResultInput, segs: Sequence[Dataset]) -> ContainerContentItem:
    """Root container: TID 1500's rows in their order, which is significant; the node's own additions after them."""
    root = ContainerContentItem(name=codes.cid7021.ImagingMeasurementReport, template_id="1500")
    root.ContentSequence = ContentSequence(is_root=False)
    for items in (LanguageOfContentItemAndDescendants(concept(LANGUAGE)), _observers(inp), [_procedure(inp)]):
        root.ContentSequence.extend(items)
    root.ContentSequence.extend(subject(inp))
    groups = measurement_groups(inp, segs)
    if groups:
        root.ContentSequence.append(container(codes.DCM.ImagingMeasurements, [item for g in groups for item in g]))
    evaluations = qualitative_evaluations(inp, segs)
    if evaluations or not groups:
        root.ContentSequence.append(
            container(concept(rested.QUALITATIVE_EVALUATIONS), evaluations or _nothing_found(inp))
        )
    root.ContentSequence.extend(rested.record_values(inp))
    if inp.note_facts:
        root.ContentSequence.append(clinical.clinical_information(inp.note_facts))
    for text in (DISCLAIMER, *inp.prediction.warnings):
        root.ContentSequence.append(comment(text, RelationshipTypeValues.CONTAINS))
    return root


def _nothing_found(inp: ResultInput) -> list[ContentItem]:
    """Say it, and which algorithm found nothing (TID 1500 row 12b)."""
    return [*algorithm(inp), comment("The model reports no finding.", RelationshipTypeValues.CONTAINS)]


def _observers(inp: ResultInput) -> ObservationContext:
    """TID 1001: the model is the observer; the subject is the patient of the document, which needs no item."""
    device = ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=device_uid(inp.card),
            name=inp.card.title,
            manufacturer_name=MANUFACTURER,
            model_name=inp.card.name,  # IHE AIR table 6.5.3.1-1: as in the contributing equipment
            serial_number=device_serial(inp.card),
        ),
    )
    return ObservationContext(observer_device_context=device)


def _procedure(inp: ResultInput) -> CodeContentItem:
    return CodeContentItem(
        name=codes.DCM.ProcedureReported,
        value=concept(procedure(inp)),
        relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD,
    )


def _list_images(sr: Dataset, inp: ResultInput) -> None:
    """Put a reference to each source image into the image library (TID 1601).

    After the document was made of its content, which highdicom copies and searches for references: all of these are in
    the evidence, and some hundred of them take it longer than all the rest. A report on a waveform or on the record has
    no library.
    """
    library = next((item for item in sr.ContentSequence if item.name == codes.DCM.ImageLibrary), None)
    if library is None:
        return
    library.ContentSequence[0].ContentSequence.extend([_reference(image) for image in inp.sources])


def _add_assessment(sr: Dataset, container: ContainerContentItem) -> None:
    """Put what images and record say together before the comments: afterwards, as it refers to no image either."""
    place = next(at for at, item in enumerate(sr.ContentSequence) if item.name == codes.DCM.Comment)
    sr.ContentSequence.insert(place, container)


def _reference(image: Dataset) -> ImageContentItem:
    return ImageContentItem(
        name=SOURCE,
        referenced_sop_class_uid=image.SOPClassUID,
        referenced_sop_instance_uid=image.SOPInstanceUID,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )


def _requests(inp: ResultInput) -> list[Dataset] | None:
    """Referenced Request Sequence (PS3.3 C.17.2): type 2 attributes are empty where the order does not say."""
    order = inp.order
    if order is None:
        return None
    item = Dataset()
    item.StudyInstanceUID = inp.image.StudyInstanceUID
    item.ReferencedStudySequence = []
    item.AccessionNumber = _fitting(order.accession_number, 16) or inp.image.get("AccessionNumber")
    item.PlacerOrderNumberImagingServiceRequest = _fitting(order.placer_number, 64)
    item.FillerOrderNumberImagingServiceRequest = _fitting(order.filler_number, 64)
    item.RequestedProcedureID = None
    item.RequestedProcedureDescription = long_string(order.procedure_text) or None
    item.RequestedProcedureCodeSequence = [concept(order.procedure)] if order.procedure else []
    if order.reason:
        item.ReasonForTheRequestedProcedure = long_string(order.reason)
    return [item]


def _fitting(number: str, longest: int) -> str | None:
    """Return an identifier that its VR can hold; one that it cannot is left out, since a part of it is another one."""
    return number if number and len(number) <= longest and "\\" not in number else None


def _predecessors(inp: ResultInput) -> list[Dataset] | None:
    before = inp.predecessor
    if before is None:
        return None
    ds = Dataset()
    ds.SOPClassUID = before.sop_class_uid or Comprehensive3DSRStorage
    ds.SOPInstanceUID = before.sop_instance_uid
    ds.StudyInstanceUID = inp.image.StudyInstanceUID
    ds.SeriesInstanceUID = before.series_instance_uid
    return [ds]


def _texts(inp: ResultInput) -> Iterator[str]:
    yield from (inp.card.name, inp.card.title, inp.card.version, inp.institution, inp.software_version)
    yield from inp.prediction.warnings
    yield from rested.texts(inp)
    yield from clinical.texts(inp.note_facts)
    yield from assessed.texts(inp.prediction, inp.assessment)
    for finding in inp.prediction.findings:
        yield from (finding.label, finding.lesion, finding.text, finding.code.meaning)
        yield from (text for m in finding.measurements for text in (m.name.meaning, m.unit.meaning, m.method))
    for spec in inp.prediction.segments:
        yield from (spec.name, spec.category.meaning, spec.type.meaning)
        yield from (code.meaning for code in (*((spec.anatomy,) if spec.anatomy else ()), *spec.anatomy_modifiers))
    if inp.order is not None:
        order = inp.order
        yield from (order.accession_number, order.placer_number, order.filler_number)
        yield from (order.procedure_text, order.reason, order.procedure.meaning if order.procedure else "")
