"""What is sent: generated objects of one kind, in eight folders of one study each, and huge ones, which are sparse."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from node.dicom.part10 import IMPLEMENTATION_CLASS_UID
from node.simulator.studies import uid

FOLDERS = 8
"""Studies of a corpus, and the most associations that can share it."""
FRAME = 512 * 512 * 2


@dataclass(frozen=True)
class Corpus:
    """Files on disk, spread over folders; SOP Instance UIDs are distinct over all of them."""

    name: str
    folders: tuple[Path, ...]

    def share(self, number: int, of: int) -> tuple[Path, ...]:
        """Return the folders that association ``number`` (from 0) of ``of`` sends."""
        return self.folders[number::of]

    def only(self, count: int) -> Corpus:
        """Return a corpus of the first ``count`` folders."""
        return Corpus(self.name, self.folders[:count])

    @property
    def files(self) -> list[Path]:
        """All files, in the order of folders and names."""
        return [path for folder in self.folders for path in sorted(folder.iterdir())]


def ct(root: Path, count: int, width: int = 512) -> Corpus:
    """Write CT slices: ``count`` of them (rounded up to fill the folders), 525 kB each where ``width`` is 512."""
    return _slices(root, "ct", count, width, str(CTImageStorage), "CT")


def small(root: Path, count: int, width: int = 128) -> Corpus:
    """Write MR slices of 34 kB, where the work for an object outweighs the work for its bytes."""
    return _slices(root, "mr", count, width, str(MRImageStorage), "MR")


def huge(root: Path, frames: int, count: int = 4) -> Corpus:
    """Write Enhanced CT objects of ``frames`` frames of 524288 bytes, each in a folder of its own.

    The pixels are a hole in the file: they read as zeros and take no room on the disk.
    """
    folders = []
    for number in range(count):
        ds = _image("huge", number, 0, str(EnhancedCTImageStorage), "CT", 512)
        ds.NumberOfFrames = frames
        ds.PixelData = b""
        folder = root / "huge" / f"{number:02d}"
        folder.mkdir(parents=True)
        _save_with_hole(ds, folder / "IM00000.dcm", frames * FRAME)
        folders.append(folder)
    return Corpus("huge", tuple(folders))


def warm(paths: Iterable[Path]) -> None:
    """Read the files once, so that the first run does not pay for the disk of the sender."""
    for path in paths:
        path.read_bytes()


def _slices(root: Path, name: str, count: int, width: int, sop_class: str, modality: str) -> Corpus:
    folders = tuple(root / name / f"{number:02d}" for number in range(FOLDERS))
    for study, folder in enumerate(folders):
        folder.mkdir(parents=True)
        for number in range(-(-count // FOLDERS)):
            ds = _image(name, study, number, sop_class, modality, width)
            ds.PixelData = _pixels(study, number, width).tobytes()
            ds.save_as(folder / f"IM{number:05d}.dcm", enforce_file_format=True)
    return Corpus(name, folders)


def _pixels(study: int, number: int, width: int) -> npt.NDArray[np.uint16]:
    """Return 12-bit noise, which no layer below can make smaller."""
    return np.random.default_rng((study, number)).integers(0, 4096, (width, width), dtype="<u2")


def _image(corpus: str, study: int, number: int, sop_class: str, modality: str, width: int) -> Dataset:
    """Return an image of a made-up patient with the attributes that an index reads, without pixels."""
    ds = Dataset()
    ds.SOPClassUID = sop_class
    ds.SOPInstanceUID = uid("benchmark", corpus, study, number)
    ds.StudyInstanceUID = uid("benchmark", corpus, study)
    ds.SeriesInstanceUID = uid("benchmark", corpus, study, "series")
    ds.FrameOfReferenceUID = uid("benchmark", corpus, study, "frame")
    ds.PatientName, ds.PatientID = f"Benchmark^{study}", f"BENCH{study}"
    ds.PatientBirthDate, ds.PatientSex = "19700101", "O"
    ds.StudyDate = ds.SeriesDate = "20260102"
    ds.StudyTime = ds.SeriesTime = "030405"
    ds.AccessionNumber, ds.StudyID = f"ACC{study}", str(study)
    ds.StudyDescription, ds.SeriesDescription = "Generated for a benchmark", "Noise"
    ds.Modality, ds.BodyPartExamined, ds.Manufacturer = modality, "CHEST", "Overread simulator"
    ds.SeriesNumber, ds.InstanceNumber = 1, number + 1
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.ImagePositionPatient = [-250.0, -250.0, float(number)]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [0.9765625, 0.9765625], 1
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows = ds.Columns = width
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleIntercept, ds.RescaleSlope = -1024, 1
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    return ds


def _save_with_hole(ds: Dataset, path: Path, size: int) -> None:
    """Save with ``size`` zero bytes as the pixel data: the last element, whose length is the last four bytes."""
    ds.save_as(path, enforce_file_format=True)
    with path.open("r+b") as file:
        file.seek(-4, 2)
        file.write(struct.pack("<I", size))
        file.truncate(file.tell() + size)


def sample(paths: list[Path], most: int) -> list[Path]:
    """Return at most ``most`` of the files, spread evenly over them."""
    step = max(1, -(-len(paths) // most))
    return list(itertools.islice(paths, 0, None, step))
