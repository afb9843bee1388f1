"""Small made-up series: headers and pixels of any orientation, in files, with the values that must come back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

from models.contracts import Code, Finding, InputRequirements, Measurement, ModelCard, Prediction, SegmentSpec, Side
from workers.results.common import ResultInput

#: Row and column cosines by name; the oblique ones are a double rotation, written with six decimals as scanners do.
ORIENTATIONS = {
    "axial": (1, 0, 0, 0, 1, 0),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "coronal": (1, 0, 0, 0, 0, -1),
    "axial, rows to the right": (-1, 0, 0, 0, 1, 0),
    "axial, rotated in plane": (0, 1, 0, 1, 0, 0),
    "oblique": (0.965926, 0.0, -0.258819, 0.044943, 0.984808, 0.167731),
}


@dataclass(frozen=True)
class Phantom:
    """What a series is made of; ``spacing`` is (between slices, between rows, between columns) in mm."""

    shape: tuple[int, int, int] = (6, 12, 10)
    spacing: tuple[float, float, float] = (2.5, 0.75, 1.25)
    cosines: tuple[float, ...] = ORIENTATIONS["axial"]
    origin: tuple[float, float, float] = (-31.5, 12.25, 40.0)
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def stored(self) -> npt.NDArray[np.int16]:
        """Stored values ``[slice, row, column]``, no two slices alike."""
        values = np.arange(int(np.prod(self.shape)), dtype=np.int64).reshape(self.shape) * 7 % 3001 - 1000
        return values.astype(np.int16)

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """Voxel index to LPS, written here from the standard's equation, not from the code under test."""
        row, column = np.array(self.cosines[:3], dtype=float), np.array(self.cosines[3:], dtype=float)
        affine = np.eye(4)
        affine[:3, 0] = np.cross(row, column) * self.spacing[0]
        affine[:3, 1] = column * self.spacing[1]
        affine[:3, 2] = row * self.spacing[2]
        affine[:3, 3] = self.origin
        return affine

    def position(self, k: int) -> list[float]:
        """Image Position (Patient) of slice ``k``."""
        return [round(float(v), 6) for v in self.affine[:3, 3] + k * self.affine[:3, 0]]


def meta(sop_class: str, instance: str) -> FileMetaDataset:
    """File Meta of an uncompressed object."""
    result = FileMetaDataset()
    result.TransferSyntaxUID = ExplicitVRLittleEndian
    result.MediaStorageSOPClassUID = UID(sop_class)
    result.MediaStorageSOPInstanceUID = UID(instance)
    return result


def common(phantom: Phantom, sop_class: str, instance: str) -> Dataset:
    """Patient, study, series, frame of reference and pixel description of an image."""
    ds = Dataset()
    ds.file_meta = meta(sop_class, instance)
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, instance
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.826.0.1.3680043.10.1.1", "1.2.826.0.1.3680043.10.1.2"
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = "1.2.826.0.1.3680043.10.1.3", ""
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Müller^Käthe", "P-1", "19500102", "F"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20261120", "101500", "S1", "A-1"
    ds.ReferringPhysicianName, ds.StudyDescription = "", "Kopf"
    ds.Modality, ds.SeriesNumber, ds.SeriesDescription = "MR", 5, "T1 mprage"
    ds.Manufacturer, ds.ManufacturerModelName, ds.SoftwareVersions = "Maker", "Model 1", "v1"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    ds.Rows, ds.Columns = phantom.shape[1:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    return ds


def single_frames(phantom: Phantom) -> list[Dataset]:
    """MR Image Storage, one instance a slice, in slice order."""
    return [_single_frame(phantom, k) for k in range(phantom.shape[0])]


def _single_frame(phantom: Phantom, k: int) -> Dataset:
    ds = common(phantom, MRImageStorage, f"1.2.826.0.1.3680043.10.1.4.{k + 1}")
    ds.InstanceNumber, ds.SliceThickness = k + 1, 2
    ds.ImagePositionPatient, ds.ImageOrientationPatient = phantom.position(k), list(phantom.cosines)
    ds.PixelSpacing = list(phantom.spacing[1:])
    ds.RescaleSlope, ds.RescaleIntercept = phantom.slope, phantom.intercept
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions, ds.MRAcquisitionType = "GR", "NONE", "", "3D"
    ds.PixelData = phantom.stored[k].tobytes()
    return ds


def multi_frame(phantom: Phantom, frames: Sequence[int]) -> Dataset:
    """Enhanced MR Image Storage whose frames show the slices ``frames``, in that order."""
    ds = common(phantom, EnhancedMRImageStorage, "1.2.826.0.1.3680043.10.1.5")
    ds.NumberOfFrames, ds.InstanceNumber = len(frames), 1
    shared, measures, orientation, transformation = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(phantom.spacing[1:]), 2
    orientation.ImageOrientationPatient = list(phantom.cosines)
    transformation.RescaleSlope, transformation.RescaleIntercept = phantom.slope, phantom.intercept
    transformation.RescaleType = "US"
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    shared.PixelValueTransformationSequence = [transformation]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = [_frame(phantom, k) for k in frames]
    ds.PixelData = b"".join(phantom.stored[k].tobytes() for k in frames)
    return ds


def _frame(phantom: Phantom, k: int) -> Dataset:
    group, position = Dataset(), Dataset()
    position.ImagePositionPatient = phantom.position(k)
    group.PlanePositionSequence = [position]
    return group


def write(folder: Path, instances: Sequence[Dataset], change: Callable[[Dataset], None] | None = None) -> list[Path]:
    """Write instances to files, after ``change`` was done to each."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, ds in enumerate(instances):
        if change is not None:
            change(ds)
        path = folder / f"{number:04}.dcm"
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


HIPPOCAMPUS = Code("75042008", "SCT", "Hippocampus")
STRUCTURE = Code("91723000", "SCT", "Anatomical structure")
VOLUME = Code("118565006", "SCT", "Volume")
MILLILITRE = Code("ml", "UCUM", "ml")

SEGMENTS = (
    SegmentSpec(1, "Hippocampus, anterior part", STRUCTURE, HIPPOCAMPUS, rgb=(230, 80, 60)),
    SegmentSpec(
        2,
        "Hippocampus, posterior part",
        STRUCTURE,
        HIPPOCAMPUS,
        Code("12738006", "SCT", "Brain"),
        (Code("255551008", "SCT", "Posterior"),),
        rgb=(60, 120, 230),
    ),
)

CARD = ModelCard(
    name="hippocampus",
    version="1.0.0",
    title="Hippocampus segmentation",
    summary="",
    requirements=InputRequirements(("MR",), (0.5, 3.0), (20.0, 300.0)),
    outputs=SEGMENTS,
    weights_sha256="ab" * 32,
    data="",
    licence="",
    intended_use="",
    limits=(),
)


def labels_for(shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """Two bodies without any symmetry that a flip could keep, and empty outer slices."""
    labels = np.zeros(shape, dtype=np.uint8)
    slices, rows, columns = shape
    labels[1 : slices // 2 + 1, 1 : rows // 3, 2 : columns // 2] = 1
    labels[slices // 2 : slices - 1, rows // 2 : rows - 2, columns // 2 : columns - 1] = 2
    labels[1, 0, 0] = 2
    return labels


def prediction_for(shape: tuple[int, int, int]) -> Prediction:
    """Two measured segments, their sum, which has no segment of its own, and one finding that is only said."""
    anterior = Measurement(VOLUME, 1.5, MILLILITRE, 1.4, 1.7, 0.9, "ensemble")
    posterior = Measurement(VOLUME, 1.25, MILLILITRE)
    findings = (
        Finding("hippocampus-anterior", HIPPOCAMPUS, (anterior,), Side.LEFT, 1, 0.93, "Anterior part 1.5 ml."),
        Finding("hippocampus-posterior", HIPPOCAMPUS, (posterior,), None, 2),
        Finding("hippocampus", HIPPOCAMPUS, (Measurement(VOLUME, 2.75, MILLILITRE),), Side.LEFT, None, 0.9),
        Finding("atrophy", Code("13331008", "SCT", "Atrophy"), (), Side.LEFT, None, 0.4, "Perhaps smaller than usual."),
    )
    return Prediction(findings, labels_for(shape), SEGMENTS, ("The side could not be told from the geometry.",))


def result_input(sources: Sequence[Dataset], shape: tuple[int, int, int], **changes: object) -> ResultInput:
    """Input of the builders, with ``changes`` to its fields."""
    fields: dict[str, object] = {
        "sources": tuple(sources),
        "prediction": prediction_for(shape),
        "card": CARD,
        "input_digest": "11" * 32,
        "context_digest": "22" * 32,
        "job_id": "b1c0b4f4-0000-5000-8000-000000000000",
        "now": dt.datetime(2026, 11, 20, 12, 0, 5, tzinfo=dt.UTC),
        "software_version": "0.1.0",
    }
    return ResultInput(**{**fields, **changes})  # type: ignore[arg-type]
