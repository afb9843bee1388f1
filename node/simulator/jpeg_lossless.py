"""JPEG lossless as modalities write it: process 14, selection value 1 (ITU-T T.81 annex H), one component.

pydicom decodes it and does not encode it. Differences to the pixel on the left are coded with one fixed Huffman table.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

#: Length of the code of each category of difference, 0 to 16 bits: short for small ones, and never all ones.
LENGTHS = (2, 3, 3, 3, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)


def encode(pixels: npt.NDArray[np.uint16], bits: int) -> bytes:
    """Encode ``[row, column]`` unsigned values of ``bits`` bits (2 to 16) as one frame.

    Raises
    ------
    ValueError
        If a value has more bits.
    """
    if not 2 <= bits <= 16 or int(pixels.max()) >> bits:
        raise ValueError("the values do not fit the number of bits")
    rows, columns = pixels.shape
    frame = struct.pack(">HBHHBBBB", 11, bits, rows, columns, 1, 1, 0x11, 0)
    table = (
        bytes([0]) + bytes(LENGTHS.count(n) for n in range(1, 17)) + bytes(np.argsort(LENGTHS, kind="stable").tolist())
    )
    scan = struct.pack(">HBBBBBB", 8, 1, 1, 0, 1, 0, 0)
    parts = [
        b"\xff\xd8",
        b"\xff\xc3" + frame,
        b"\xff\xc4" + struct.pack(">H", 2 + len(table)) + table,
        b"\xff\xda" + scan,
        _bits(differences(pixels, bits)).replace(b"\xff", b"\xff\x00"),
        b"\xff\xd9",
    ]
    return b"".join(parts)


def differences(pixels: npt.NDArray[np.uint16], bits: int) -> npt.NDArray[np.int32]:
    """Differences to the pixel on the left; the first of a row to the one above, the very first to the middle."""
    values = pixels.astype(np.int32)
    found = np.diff(values, axis=1, prepend=0)
    found[:, 0] = np.diff(values[:, 0], prepend=1 << (bits - 1))
    return (found.ravel() + (1 << 15)) % (1 << 16) - (1 << 15)


def _bits(found: npt.NDArray[np.int32]) -> bytes:
    """Huffman code of each difference's category and the bits that tell it from others of its category."""
    size = np.abs(found)
    category = np.where(size > 0, np.floor(np.log2(np.maximum(size, 1))).astype(np.int64) + 1, 0)
    extra = np.where(category == 16, 0, category)  # the one difference of category 16 needs no bits
    rest = np.where(found < 0, found + (1 << category) - 1, found) & ((1 << extra) - 1)
    codes, lengths = _codes()
    word = (codes[category] << extra) | rest
    length = lengths[category] + extra
    widest = int(length.max())
    shifts = np.arange(widest - 1, -1, -1)
    every = (word[:, None] >> shifts) & 1
    stream = every[shifts < length[:, None]].astype(np.uint8)
    padded = np.concatenate([stream, np.ones(-len(stream) % 8, dtype=np.uint8)])  # T.81 F.1.2.3: filled with ones
    return np.packbits(padded).tobytes()


def _codes() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Codes in the order of their lengths (T.81 annex C), and the lengths, by category."""
    codes = np.zeros(len(LENGTHS), dtype=np.int64)
    code, before = 0, min(LENGTHS)
    for category in np.argsort(LENGTHS, kind="stable"):
        code <<= LENGTHS[category] - before
        codes[category], before = code, LENGTHS[category]
        code += 1
    return codes, np.array(LENGTHS, dtype=np.int64)
