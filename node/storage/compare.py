"""Whether two objects with one UID are the same: byte for byte, since a digest can be forged."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from node.dicom.part10 import read_meta
from node.storage.seal import CHUNK


def same_dataset(kept: Path, other: Path | memoryview) -> bool:
    """Whether the data set of a stored file equals another file's, or that in memory; File Meta may differ."""
    with kept.open("rb") as stream:
        read_meta(stream)
        if isinstance(other, memoryview):
            return _same_bytes(stream, other)
        with other.open("rb") as second:
            read_meta(second)
            return _same_streams(stream, second)


def _same_bytes(stream: BinaryIO, data: memoryview) -> bool:
    position = 0
    while piece := stream.read(CHUNK):
        if data[position : position + len(piece)] != piece:
            return False
        position += len(piece)
    return position == len(data)


def _same_streams(first: BinaryIO, second: BinaryIO) -> bool:
    while True:
        piece = first.read(CHUNK)
        if piece != second.read(CHUNK):
            return False
        if not piece:
            return True
