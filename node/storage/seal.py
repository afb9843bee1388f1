"""The seal of a stored file: length and digest of its data set, in the preamble (PS3.10 section 7.1).

A sealed file can be verified without the records: after a power cut, and when storage commitment is asked for. The
digest is XXH3-128: it finds damage at the speed of memory, some thirty times faster than SHA-256. It is no proof
against forgery, and nothing relies on it for that: two objects with one UID are compared byte for byte.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import xxhash

from node.dicom.part10 import PREAMBLE, read_meta
from node.errors import DicomInputError

ALGORITHM = "xxh128"
CHUNK = 1 << 20
_SEAL = struct.Struct("<8sQ16s")
_MAGIC = b"OVERREAD"


@dataclass(frozen=True, slots=True)
class Seal:
    """Length in bytes and XXH3-128 digest of a data set."""

    length: int
    digest: bytes

    @property
    def text(self) -> str:
        """The digest as the records keep it: algorithm, colon, hexadecimal digits."""
        return f"{ALGORITHM}:{self.digest.hex()}"

    def preamble(self) -> bytes:
        """Return 128 bytes and the prefix."""
        return _SEAL.pack(_MAGIC, self.length, self.digest).ljust(128, b"\0") + PREAMBLE[128:]


def seal_of(dataset: bytes | memoryview) -> Seal:
    """Return the seal of a data set."""
    return Seal(len(dataset), xxhash.xxh3_128_digest(dataset))


def read_seal(preamble: bytes) -> Seal | None:
    """Return the seal in a preamble, or None where it has none."""
    if len(preamble) < _SEAL.size or not preamble.startswith(_MAGIC):
        return None
    _, length, digest = _SEAL.unpack_from(preamble)
    return Seal(length, digest)


class Sealer:
    """Seals a data set that comes in pieces."""

    def __init__(self) -> None:
        self._hash = xxhash.xxh3_128()
        self._length = 0

    def update(self, piece: bytes | memoryview) -> None:
        """Take the next piece."""
        self._hash.update(piece)
        self._length += len(piece)

    def seal(self) -> Seal:
        """Return the seal of what came so far."""
        return Seal(self._length, self._hash.digest())


def seal_of_file(path: Path) -> tuple[Seal | None, Seal]:
    """Return the seal that a Part 10 file carries, if any, and the seal of what it holds.

    Raises
    ------
    DicomInputError
        If it is not a Part 10 file.
    """
    sealer = Sealer()
    with path.open("rb") as stream:
        said = read_seal(stream.read(128))
        stream.seek(0)
        read_meta(stream)
        while piece := stream.read(CHUNK):
            sealer.update(piece)
    return said, sealer.seal()


def is_whole(path: Path) -> bool:
    """Whether a file holds what its seal says; a file without a seal is taken at its word."""
    try:
        said, found = seal_of_file(path)
    except DicomInputError:
        return False
    return said is None or said == found


def dataset_digest(path: Path) -> str:
    """Return the digest of a Part 10 file's data set as it lies on the disk."""
    return seal_of_file(path)[1].text
