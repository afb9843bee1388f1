"""NIfTI-1 files with one image, written and read without a library: what a command gets and gives back.

Source: the header ``nifti1.h`` (nifti.nimh.nih.gov). World coordinates are RAS millimetres; DICOM's are LPS.
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from models.contracts import UnusableOutput

HEADER_BYTES = 348
MAGIC = b"n+1\0"

#: Datatype codes by numpy's types, as they are read and written.
DATATYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
CODES = {"uint8": (2, 8), "int16": (4, 16), "float32": (16, 32)}

#: From RAS to LPS and back.
TURN = np.diag([-1.0, -1.0, 1.0, 1.0])

#: ``[column, row, slice, 1]`` to ``[slice, row, column, 1]``.
REVERSE = np.array([[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=float)

#: Bytes of an image after unpacking.
MAX_BYTES = 8 << 30


def write(path: Path, array: npt.NDArray[Any], affine: npt.NDArray[np.float64]) -> None:
    """Write ``[slice, row, column]`` with its affine (voxel index to LPS mm), gzipped if the name ends in ``.gz``."""
    code, bits = CODES[array.dtype.name]
    world = TURN @ affine @ REVERSE
    slices, rows, columns = array.shape
    steps = np.linalg.norm(world[:3, :3], axis=0)
    header = bytearray(HEADER_BYTES + 4)
    struct.pack_into("<i", header, 0, HEADER_BYTES)
    struct.pack_into("<8h", header, 40, 3, columns, rows, slices, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, code, bits)
    struct.pack_into("<8f", header, 76, 1.0, *steps, 0, 0, 0, 0)
    struct.pack_into("<3f", header, 108, HEADER_BYTES + 4, 1.0, 0.0)
    header[123] = 2  # millimetres
    struct.pack_into("<2h", header, 252, 0, 1)  # no qform; sform: scanner coordinates
    for row, place in enumerate((280, 296, 312)):
        struct.pack_into("<4f", header, place, *world[row])
    header[344:348] = MAGIC
    data = bytes(header) + np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
    path.write_bytes(gzip.compress(data, 1) if path.suffix == ".gz" else data)


def read(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Read an image ``[slice, row, column]`` and its affine (voxel index to LPS mm).

    Raises
    ------
    UnusableOutput
        If the file is no NIfTI-1 of one image of three axes, or larger than :data:`MAX_BYTES`.
    """
    try:
        return _parsed(_bytes(path))
    except (struct.error, KeyError, ValueError, OverflowError, EOFError, zlib.error, OSError) as error:
        raise UnusableOutput(f"{path.name} is no NIfTI-1 of one image: {error}") from error


def _parsed(data: bytes) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    order: Literal["<", ">"] = "<" if struct.unpack_from("<i", data, 0)[0] == HEADER_BYTES else ">"
    if struct.unpack_from(f"{order}i", data, 0)[0] != HEADER_BYTES or data[344:348] != MAGIC:
        raise ValueError("the header is not NIfTI-1's")
    columns, rows, slices = _shape(struct.unpack_from(f"{order}8h", data, 40))
    kind = np.dtype(DATATYPES[struct.unpack_from(f"{order}h", data, 70)[0]]).newbyteorder(order)
    offset = int(struct.unpack_from(f"{order}f", data, 108)[0])
    if offset < HEADER_BYTES or columns * rows * slices * kind.itemsize > len(data) - offset:
        raise ValueError("the file is too short for its image")
    array = np.frombuffer(data, kind, columns * rows * slices, offset).reshape(slices, rows, columns)
    slope, intercept = struct.unpack_from(f"{order}2f", data, 112)
    if slope not in {0.0, 1.0} or (slope and intercept):
        array = array * np.float64(slope) + intercept
    return array, TURN @ _world(data, order) @ REVERSE


def _shape(dim: tuple[int, ...]) -> tuple[int, int, int]:
    """Columns, rows and slices of the header's ``dim``: up to seven axes, of which the later ones have length 1."""
    count = dim[0]
    if not 2 <= count <= 7 or min(dim[1 : 1 + min(3, count)]) < 1 or any(n not in {0, 1} for n in dim[4 : count + 1]):
        raise ValueError(f"an image of the lengths {list(dim[1:])}")
    return dim[1], dim[2], max(1, dim[3])


def _bytes(path: Path) -> bytes:
    """The file, unpacked; never more than :data:`MAX_BYTES`."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    if not packed:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("the file is too large")
        return path.read_bytes()
    parts = io.BytesIO()
    with gzip.open(path) as source:
        while chunk := source.read(1 << 20):
            if parts.tell() + len(chunk) > MAX_BYTES:
                raise ValueError("the file unpacks to too much")
            parts.write(chunk)
    return parts.getvalue()


def _world(data: bytes, order: str) -> npt.NDArray[np.float64]:
    """Index to RAS: the sform, else the qform (nifti1.h, methods 3 and 2)."""
    qform, sform = struct.unpack_from(f"{order}2h", data, 252)
    world = np.eye(4)
    if sform > 0:
        for row, place in enumerate((280, 296, 312)):
            world[row] = struct.unpack_from(f"{order}4f", data, place)
    elif qform > 0:
        factor, *steps = struct.unpack_from(f"{order}4f", data, 76)
        b, c, d = struct.unpack_from(f"{order}3f", data, 256)
        a = max(0.0, 1.0 - b * b - c * c - d * d) ** 0.5
        turn = np.array(
            [
                [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
            ]
        )
        world[:3, :3] = turn * np.array([steps[0], steps[1], steps[2] * (-1 if factor < 0 else 1)])
        world[:3, 3] = struct.unpack_from(f"{order}3f", data, 268)
    else:
        raise ValueError("it does not say where it lies (neither sform nor qform)")
    if not np.isfinite(world).all() or abs(np.linalg.det(world[:3, :3])) < 1e-9:
        raise ValueError("its position is not usable")
    return world
