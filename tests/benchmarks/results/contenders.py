"""The two ways from arrays to files: the node's builders, and highdicom alone as its documentation has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO

from highdicom.seg import Segmentation
from highdicom.sr import (
    Comprehensive3DSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    ImageContentItem,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    RelationshipTypeValues,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from workers.reading.instances import quiet
from workers.results.common import ResultInput, device_uid
from workers.results.equipment import equipment
from workers.results.groups import measurement_groups
from workers.results.profile import Profile
from workers.results.profile import Segmentation as Kind
from workers.results.seg.segments import describe
from workers.results.seg.volume import TYPES, build_segs
from workers.results.sr import build_sr


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to make a segmentation, and a report on it."""

    seg: Callable[[ResultInput, Kind], Dataset]
    sr: Callable[[ResultInput, Dataset, bool], Dataset]


def encode(ds: Dataset) -> bytes:
    """Encode a data set as a file."""
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _our_seg(inp: ResultInput, kind: Kind) -> Dataset:
    [seg] = build_segs(inp, Profile(kind))
    return seg


def _our_sr(inp: ResultInput, seg: Dataset, _listed: bool) -> Dataset:
    """Our report always lists its images."""
    return build_sr(inp, (seg,))


def _highdicom_seg(inp: ResultInput, kind: Kind) -> Dataset:
    """Labels are Segment Numbers already; geometry and patient are taken over from the images."""
    labels = inp.prediction.labels
    assert labels is not None
    with quiet():
        return Segmentation(
            source_images=list(inp.sources),
            pixel_array=labels,
            segmentation_type=TYPES[kind],
            segment_descriptions=[describe(inp, spec, spec.label) for spec in inp.prediction.segments],
            series_instance_uid="2.25.1",
            series_number=100,
            sop_instance_uid="2.25.2",
            instance_number=1,
            transfer_syntax_uid=ExplicitVRLittleEndian if kind == "binary" else RLELossless,
            **equipment(inp),
        )


def _highdicom_sr(inp: ResultInput, seg: Dataset, listed: bool) -> Dataset:
    """The same measurement groups, and where ``listed`` the same image library, of highdicom's items.

    The one that it makes of ``referenced_images`` has descriptors of each image as well, and takes many times as long.
    """
    device = ObserverContext(codes.DCM.Device, DeviceObserverIdentifyingAttributes(uid=device_uid(inp.card)))
    with quiet():
        report = MeasurementReport(
            observation_context=ObservationContext(observer_device_context=device),
            procedure_reported=codes.cid100.MRIUnspecifiedBodyRegion,
            imaging_measurements=measurement_groups(inp, (seg,)),
            title=codes.cid7021.ImagingMeasurementReport,
        )
        if listed:
            report[0].ContentSequence.append(_library(inp))
        return Comprehensive3DSR(
            evidence=[*inp.sources, seg],
            content=report[0],
            series_instance_uid="2.25.3",
            series_number=101,
            sop_instance_uid="2.25.4",
            instance_number=1,
            is_complete=True,
            **equipment(inp),
        )


def _library(inp: ResultInput) -> ContainerContentItem:
    contains = RelationshipTypeValues.CONTAINS
    group = ContainerContentItem(name=codes.DCM.ImageLibraryGroup, relationship_type=contains)
    group.ContentSequence = ContentSequence(
        [
            ImageContentItem(codes.SCT.Source, ds.SOPClassUID, ds.SOPInstanceUID, relationship_type=contains)
            for ds in inp.sources
        ]
    )
    library = ContainerContentItem(name=codes.DCM.ImageLibrary, relationship_type=contains)
    library.ContentSequence = ContentSequence([group])
    return library


CONTENDERS: Mapping[str, Contender] = {
    "Overread": Contender(_our_seg, _our_sr),
    "highdicom": Contender(_highdicom_seg, _highdicom_sr),
}
