"""Reading Part 10 files back whole."""

from __future__ import annotations

from pathlib import Path

from node.dicom.part10 import FileMeta, read_meta


def read_file(path: Path) -> tuple[FileMeta, bytes]:
    """Return File Meta Information and the encoded data set."""
    with path.open("rb") as stream:
        return read_meta(stream), stream.read()
