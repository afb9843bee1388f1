"""Objects that tests send: small ones made here, and the real files that can be stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid
from pynetdicom.dsutils import encode

from node.dicom.files import Outgoing, describe
from node.dicom.headers import check
from node.dicom.part10 import Command, file_meta
from node.errors import OverreadError

IMPLICIT, EXPLICIT, DEFLATED, BIG = (f"1.2.840.10008.1.2{suffix}" for suffix in ("", ".1", ".1.99", ".2"))
MR = "1.2.840.10008.5.1.4.1.1.4"
PRIVATE_CLASS = "1.3.46.670589.2.5.1.1"


def image(**values: Any) -> Dataset:
    """Make a small MR image; ``values`` replace or, with None, remove attributes."""
    ds = Dataset()
    ds.SOPClassUID = MR
    ds.SOPInstanceUID = generate_uid()
    ds.StudyInstanceUID = "1.2.3"
    ds.SeriesInstanceUID = "1.2.3.1"
    ds.PatientID = "P1"
    ds.PatientName = "Example^Robin"
    ds.Modality = "MR"
    ds.InstanceNumber = 1
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = 6, 5
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelData = np.arange(30, dtype="<u2").tobytes()
    for keyword, value in values.items():
        if value is None:
            del ds[keyword]
        else:
            setattr(ds, keyword, value)
    return ds


def encoded(ds: Dataset, syntax: str = EXPLICIT) -> bytes:
    """Encode a data set."""
    uid = UID(syntax)
    data = encode(ds, uid.is_implicit_VR, uid.is_little_endian, uid.is_deflated)
    assert data is not None
    return data


def command_for(ds: Dataset, syntax: str = EXPLICIT) -> Command:
    """Return the command that a correct sender gives."""
    return Command(str(ds.SOPClassUID), str(ds.SOPInstanceUID), syntax, "MR1", "OVERREAD")


def outgoing(folder: Path, data: bytes, sop_instance: str, sop_class: str = MR, syntax: str = EXPLICIT) -> Outgoing:
    """Write ``data`` and say that it is this object, whatever it is."""
    folder.mkdir(parents=True, exist_ok=True)
    meta = file_meta(Command("1.2", "1.2", syntax))
    path = folder / f"{len(list(folder.iterdir()))}.dcm"
    path.write_bytes(meta + data)
    return Outgoing(path, sop_class, sop_instance, syntax, len(meta))


def outgoing_image(folder: Path, **values: Any) -> Outgoing:
    """Write a small MR image that is in order."""
    ds = image(**values)
    return outgoing(folder, encoded(ds), str(ds.SOPInstanceUID), str(ds.SOPClassUID))


def storable(folder: Path) -> list[Outgoing]:
    """Return the files under a folder that are whole and have all identifiers."""
    found = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        try:
            item = describe(path)
            check(Command(item.sop_class, item.sop_instance, item.transfer_syntax), memoryview(item.dataset()))
        except OverreadError:
            continue
        found.append(item)
    return found
