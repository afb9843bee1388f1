"""Small made-up radiographs in files: header and pixels, with whatever a test changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
)

from models.contracts import InputKind, InputRequirements, RadiographNeeds
from tests.workers.synthetic import meta

ANY = InputRequirements(modalities=(), kind=InputKind.RADIOGRAPH)
FRONTAL = InputRequirements(
    modalities=("CR", "DX"),
    kind=InputKind.RADIOGRAPH,
    body_parts=("CHEST",),
    radiograph=RadiographNeeds(views=("AP", "PA")),
)
SERIES = "1.2.826.0.1.3680043.10.2.2"


def pixels(rows: int = 64, columns: int = 64, *, bits: int = 12, low: int = 0) -> npt.NDArray[np.int64]:
    """Stored values of the whole range of ``bits``, no two rows alike."""
    values = np.arange(rows * columns, dtype=np.int64).reshape(rows, columns) * 37 % (1 << bits)
    values.flat[0], values.flat[1] = 0, (1 << bits) - 1
    return values + low


def radiograph(number: int = 1, stored: npt.NDArray[np.int64] | None = None, **changes: Any) -> Dataset:
    """A DX image (or CR, by ``Modality``), of 12 bits in 16, with ``changes`` to its attributes; None drops one."""
    stored = pixels() if stored is None else stored
    is_cr = changes.get("Modality") == "CR"
    kind = str(ComputedRadiographyImageStorage if is_cr else DigitalXRayImageStorageForPresentation)
    kind = str(changes.get("SOPClassUID", kind))
    ds = Dataset()
    ds.file_meta = meta(kind, f"1.2.826.0.1.3680043.10.2.3.{number}")
    ds.SOPClassUID, ds.SOPInstanceUID = kind, ds.file_meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.826.0.1.3680043.10.2.1", SERIES
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Doe^Jane", "P-1", "19500102", "F"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20261120", "101500", "S1", "A-1"
    ds.AcquisitionDate, ds.AcquisitionTime = "20261120", f"1015{number:02}"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "DX", 1, number
    ds.BodyPartExamined, ds.ViewPosition, ds.ImageType = "CHEST", "PA", ["ORIGINAL", "PRIMARY", ""]
    ds.Rows, ds.Columns = stored.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.ImagerPixelSpacing = [0.15, 0.2]
    for keyword, value in changes.items():
        if value is None:
            del ds[keyword]
        else:
            setattr(ds, keyword, value)
    letter = "i" if ds.PixelRepresentation else "u"
    ds.PixelData = stored.astype(f"<{letter}{ds.BitsAllocated // 8}").tobytes()
    ds["PixelData"].VR = "OW" if ds.BitsAllocated == 16 else "OB"
    return ds


def lut(entries: list[int], first: int, bits: int = 16, vr: str = "US") -> Dataset:
    """One item of Modality LUT Sequence or VOI LUT Sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", vr, [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "OW", np.array(entries, dtype="<u2").tobytes())
    item.ModalityLUTType = "US"
    return item


def save(folder: Path, *instances: Dataset) -> list[Path]:
    """Write instances to files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, ds in enumerate(instances):
        path = folder / f"{number:03}.dcm"
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths
