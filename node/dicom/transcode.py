"""Encoding an object anew, where the other side takes no transfer syntax like the one that it is kept in."""

from __future__ import annotations

from functools import lru_cache

from pydicom import dcmread
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID
from pynetdicom.dsutils import encode

from node.dicom.files import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Outgoing
from node.dicom.structure import scan
from node.errors import DicomInputError

PLAIN = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
"""What everything that can be decoded may be sent in; Implicit VR is what every application takes (PS3.5 10.1)."""


@lru_cache(maxsize=64)
def decodable(transfer_syntax: str) -> bool:
    """Whether objects in a transfer syntax can be encoded anew without loss.

    Not big endian: its pixels would have to be swapped by their VR.
    """
    uid = UID(transfer_syntax)
    if transfer_syntax == EXPLICIT_BIG or not uid.is_transfer_syntax:
        return False
    if not uid.is_encapsulated:
        return True
    try:
        return bool(get_decoder(uid).is_available)
    except NotImplementedError:
        return False


def transcode(item: Outgoing, transfer_syntax: str) -> bytes:
    """Return the object's data set in an uncompressed little endian transfer syntax; its UID and pixels stay the same.

    Raises
    ------
    DicomInputError
        If it cannot be decoded.
    OSError
        If it cannot be read.
    """
    source, target = UID(item.transfer_syntax), UID(transfer_syntax)
    try:
        if not source.is_deflated:  # pydicom leaves out what is cut off; what does not inflate is an error
            scan(memoryview(item.dataset()), implicit=source.is_implicit_VR)
        ds = dcmread(item.path, force=True)
        if source.is_encapsulated and "PixelData" in ds:
            ds.decompress(generate_instance_uid=False)
        data = encode(ds, target.is_implicit_VR, target.is_little_endian)
    except OSError:
        raise
    except Exception as exc:  # decoders fail in as many ways as there are codecs
        raise DicomInputError(f"it cannot be decoded from {name(item.transfer_syntax)}") from exc
    if data is None:
        raise DicomInputError(f"it cannot be encoded in {name(transfer_syntax)}")
    return data


def name(transfer_syntax: str) -> str:
    """Return a transfer syntax's name for people."""
    return UID(transfer_syntax).name
