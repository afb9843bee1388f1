"""Generated studies: a hippocampus crop of a brain MR as DICOM, for the demo and the tests. Nobody was scanned.

Other kinds of study stand in :mod:`node.simulator.kinds`.
"""

from __future__ import annotations

import copy
import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from node.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.simulator import phantom
from node.simulator.ris import Person

NAMESPACE = uuid.UUID("0a3f3a51-6c3c-57a5-9a53-9d2b8c7d1e60")
MIDLINE_MM = 27.0
"""Distance of the crop's centre from the mid-sagittal plane, about where a hippocampus lies."""
SIDES = {"right": -1.0, "left": 1.0}
"""Sign of x in the patient coordinate system, which grows to the left (PS3.3 C.7.6.2.1.1)."""


@dataclass(frozen=True, slots=True)
class GeneratedStudy:
    """A study in memory, in slice order from foot to head."""

    study_uid: str
    series_uid: str
    accession_number: str
    datasets: tuple[FileDataset, ...]


def generate(
    seed: int = 1,
    *,
    person: Person | None = None,
    accession_number: str = "",
    side: str = "right",
    at: dt.datetime | None = None,
) -> GeneratedStudy:
    """Make a study of one series: axial slices of 1 mm around one hippocampus.

    Parameters
    ----------
    seed
        Chooses the anatomy. The same seed, person, accession number, side and time give the same bytes.
    person
        The made-up patient, by default the one that the simulated RIS sends messages about. A name beyond ASCII makes
        the objects UTF-8 (ISO_IR 192).
    side
        ``"right"`` or ``"left"``.
    at
        When it was acquired, by default now; part of the UIDs, so that each call makes a study of its own.
    """
    person = person or Person()
    at = at or dt.datetime.now()
    drawn = phantom.make(seed, side=side)
    slices = np.ascontiguousarray(drawn.image.transpose(2, 1, 0)[:, ::-1, ::-1])  # [foot to head, to back, to left]
    entropy = f"{seed}|{side}|{person.issuer}|{person.id}|{accession_number}|{at.isoformat()}"
    common = _common(entropy, person, accession_number, at)
    datasets = tuple(_instance(common, entropy, number, pixels, side) for number, pixels in enumerate(slices))
    return GeneratedStudy(str(common.StudyInstanceUID), str(common.SeriesInstanceUID), accession_number, datasets)


def write(study: GeneratedStudy, folder: Path) -> list[Path]:
    """Write a study's files into a folder and return them in slice order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for ds in study.datasets:
        path = folder / f"IM{int(ds.InstanceNumber):05d}.dcm"
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def uid(entropy: str, *parts: object) -> UID:
    """Return a UID of the root 2.25 (PS3.5 annex B.2) that depends on nothing but the arguments."""
    return UID(f"2.25.{uuid.uuid5(NAMESPACE, '|'.join((entropy, *map(str, parts)))).int}")


def begun(entropy: str, person: Person, accession_number: str, at: dt.datetime) -> Dataset:
    """Return what the instances of any generated series share: patient, study, series, equipment."""
    ds = Dataset()
    if not person.name.isascii():
        ds.SpecificCharacterSet = "ISO_IR 192"
    _patient(ds, person, at)
    ds.StudyInstanceUID = uid(entropy, "study")
    ds.StudyID = "1"
    ds.AccessionNumber = accession_number
    ds.ReferringPhysicianName = ""
    for level in ("Study", "Series", "Acquisition", "Content"):
        setattr(ds, f"{level}Date", at.strftime("%Y%m%d"))
        setattr(ds, f"{level}Time", at.strftime("%H%M%S"))
    ds.SeriesInstanceUID = uid(entropy, "series")
    ds.SeriesNumber = 1
    ds.Manufacturer = "Overread simulator"
    ds.ManufacturerModelName = "Phantom"
    ds.DeviceSerialNumber = "1"
    ds.SoftwareVersions = "1"
    ds.InstitutionName = "Simulated hospital"
    return ds


def instance(common: Dataset, entropy: str, number: int, sop_class: UID) -> FileDataset:
    """Return the beginning of one instance of a series, in a file of Explicit VR Little Endian."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = uid(entropy, "instance", number)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    ds = FileDataset("", copy.deepcopy(common), file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID = sop_class
    ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    ds.InstanceNumber = number + 1
    return ds


def _common(entropy: str, person: Person, accession_number: str, at: dt.datetime) -> Dataset:
    """Return what all slices share."""
    ds = begun(entropy, person, accession_number, at)
    ds.StudyDescription = "MR brain, generated"
    ds.SeriesDescription = "T1 hippocampus crop, generated"
    ds.Modality = "MR"
    ds.BodyPartExamined = "BRAIN"
    ds.PatientPosition = "HFS"
    ds.ProtocolName = "T1 MPRAGE crop"
    ds.FrameOfReferenceUID = uid(entropy, "frame")
    ds.PositionReferenceIndicator = ""
    _acquisition(ds)
    return ds


def _patient(ds: Dataset, person: Person, at: dt.datetime) -> None:
    ds.PatientName = person.name
    ds.PatientID = person.id
    if person.issuer:
        ds.IssuerOfPatientID = person.issuer
    ds.PatientBirthDate = person.birth_date
    ds.PatientSex = person.sex
    if len(person.birth_date) == 8:
        ds.PatientAge = f"{max(at.year - int(person.birth_date[:4]), 0):03d}Y"


def _acquisition(ds: Dataset) -> None:
    """Fill in the MR Image module (PS3.3 C.8.3.1) as an MPRAGE at 3 T would."""
    ds.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    ds.DerivationDescription = "Computed from formulae; nobody was scanned."
    ds.ScanningSequence = ["GR", "IR"]
    ds.SequenceVariant = ["SP", "MP"]
    ds.ScanOptions = ""
    ds.MRAcquisitionType = "3D"
    ds.SequenceName = "mprage"
    ds.MagneticFieldStrength = 3
    ds.RepetitionTime = 2300
    ds.EchoTime = 2.98
    ds.InversionTime = 900
    ds.EchoTrainLength = 1
    ds.FlipAngle = 9
    ds.SliceThickness = 1
    ds.PixelSpacing = [1, 1]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.WindowCenter, ds.WindowWidth = 350, 700
    ds.BurnedInAnnotation = "NO"


def _instance(common: Dataset, entropy: str, number: int, pixels: npt.NDArray[np.uint16], side: str) -> FileDataset:
    ds = instance(common, entropy, number, MRImageStorage)
    ds.Rows, ds.Columns = pixels.shape
    ds.ImagePositionPatient = _position(pixels.shape, number, side)
    ds.SliceLocation = ds.ImagePositionPatient[2]
    ds.PixelData = pixels.astype("<u2").tobytes()
    return ds


def _position(shape: Sequence[int], number: int, side: str) -> list[float]:
    """Return the centre of the first voxel of a slice: x to the left, y to the back, z to the head, in mm."""
    rows, columns = shape
    return [SIDES[side] * MIDLINE_MM - (columns - 1) / 2, -(rows - 1) / 2 + 15.0, -35.0 + number]
