"""What a report is about, by the kind of its source: which procedure, which modality, which instances it lists.

A new kind of source is one line in :data:`SUBJECTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    RelationshipTypeValues,
    UIDRefContentItem,
    WaveformContentItem,
)
from highdicom.sr.coding import CodedConcept
from pydicom.sr.codedict import codes

from models.contracts import Code, InputKind
from workers.results.common import ResultInput, concept

#: Purpose of a reference to what was read (PS3.16 TID 1501, TID 1601).
SOURCE = CodedConcept("260753009", "SCT", "Source")

#: What was done, by modality: CID 100 for the volumes it has, SNOMED CT for the others. What exactly was ordered stands
#: in Referenced Request Sequence, what was done in the Procedure Code Sequence that the report takes from its source.
PROCEDURES: Mapping[str, Code] = MappingProxyType(
    {
        "CT": Code("25045-6", "LN", "CT unspecified body region"),
        "MR": Code("25056-3", "LN", "MRI unspecified body region"),
        "PT": Code("44136-0", "LN", "PET unspecified body region"),
        **{
            modality: Code("43468-8", "LN", "XR unspecified body region")
            for modality in ("CR", "DX", "RG", "MG", "PX", "IO", "RF")
        },
        "ECG": Code("29303009", "SCT", "Electrocardiographic procedure"),
        "AU": Code("37931006", "SCT", "Auscultation"),
    }
)

#: Where the modality is none of these.
IMAGING = Code("363679005", "SCT", "Imaging procedure")
RECORDING = Code("71388002", "SCT", "Procedure")

#: A model that reads the record alone examines no images, whatever series its job runs on.
RISK_ASSESSMENT = Code("225338004", "SCT", "Risk assessment")

#: Code of each modality (CID 29 and, for sound, CID 32).
MODALITIES: Mapping[str, Code] = MappingProxyType(
    {
        "CT": Code("CT", "DCM", "Computed Tomography"),
        "MR": Code("MR", "DCM", "Magnetic Resonance"),
        "PT": Code("PT", "DCM", "Positron emission tomography"),
        "CR": Code("CR", "DCM", "Computed Radiography"),
        "DX": Code("DX", "DCM", "Digital Radiography"),
        "RG": Code("RG", "DCM", "Radiographic imaging"),
        "MG": Code("MG", "DCM", "Mammography"),
        "PX": Code("PX", "DCM", "Panoramic X-Ray"),
        "IO": Code("IO", "DCM", "Intra-oral Radiography"),
        "RF": Code("RF", "DCM", "Radiofluoroscopy"),
        "XA": Code("XA", "DCM", "X-Ray Angiography"),
    }
)

OTHER_MODALITY = Code("OT", "DCM", "Other Modality")

Subject = Callable[[ResultInput], Sequence[ContentItem]]
"""Gives what stands in a report between the procedure and the findings: the library of what was looked at."""


def procedure(inp: ResultInput) -> Code:
    """Return what was examined, or that nothing was but the record."""
    if inp.kind is InputKind.RECORD:
        return RISK_ASSESSMENT
    other = RECORDING if inp.kind is InputKind.WAVEFORM else IMAGING
    return PROCEDURES.get(str(inp.image.get("Modality")), other)


def subject(inp: ResultInput) -> Sequence[ContentItem]:
    """Build the library of what was looked at; empty where no image was."""
    return SUBJECTS[inp.kind](inp)


def waveform(inp: ResultInput, relationship: RelationshipTypeValues) -> WaveformContentItem:
    """Refer to the waveform (PS3.3 C.18.5)."""
    return WaveformContentItem(SOURCE, inp.image.SOPClassUID, inp.image.SOPInstanceUID, relationship_type=relationship)


def container(name: CodedConcept, items: Sequence[ContentItem]) -> ContainerContentItem:
    """Build a container that its parent contains."""
    made = ContainerContentItem(name=name, relationship_type=RelationshipTypeValues.CONTAINS)
    made.ContentSequence = ContentSequence(items)
    return made


def _library(inp: ResultInput) -> Sequence[ContentItem]:
    """Image Library (TID 1600): one group with its common descriptors; its images are put in last.

    The per-image descriptors of TID 1602 are optional; on a series of some hundred slices they would be thousands of
    items that repeat the images' own headers.
    """
    context = RelationshipTypeValues.HAS_ACQ_CONTEXT
    modality = MODALITIES.get(str(inp.image.get("Modality")), OTHER_MODALITY)
    described: list[ContentItem] = [CodeContentItem(codes.DCM.Modality, concept(modality), context)]
    if inp.image.get("FrameOfReferenceUID") and inp.kind is InputKind.VOLUME:
        described.append(UIDRefContentItem(codes.DCM.FrameOfReferenceUID, str(inp.image.FrameOfReferenceUID), context))
    return [container(codes.DCM.ImageLibrary, [container(codes.DCM.ImageLibraryGroup, described)])]


def _no_library(_inp: ResultInput) -> Sequence[ContentItem]:
    """TID 1600 lists images: what was read of a waveform or of the record stands with the findings."""
    return ()


SUBJECTS: Mapping[InputKind, Subject] = MappingProxyType(
    {
        InputKind.VOLUME: _library,
        InputKind.RADIOGRAPH: _library,
        InputKind.WAVEFORM: _no_library,
        InputKind.RECORD: _no_library,
    }
)
