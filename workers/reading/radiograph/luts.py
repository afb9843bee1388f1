"""Look-up tables of DICOM: a Modality or VOI LUT item becomes a table, and values go through it.

pydicom has both as well; it keeps the index in the type of the input or the output, which overflows where the first
value mapped is negative or a table of 8 bits has more than 256 entries, and it does not say the range of the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from models.contracts import FloatArray
from workers.errors import SeriesRefused

#: Entries of the longest table: 0 in the LUT Descriptor stands for it (PS3.3 C.11.1.1, C.11.2.1.1).
MAX_ENTRIES = 1 << 16


@dataclass(frozen=True, eq=False)
class Lut:
    """A table.

    Parameters
    ----------
    first
        The value that the first entry is of; what is below gets the first entry, what is above the table its last.
    table
        ``[entry]`` uint16.
    top
        Largest value that an entry may have.
    """

    first: int
    table: npt.NDArray[np.uint16]
    top: int

    def apply(self, values: npt.NDArray[Any]) -> FloatArray:
        """Give the entry of each value, as float32; values that are no integers are rounded."""
        whole = values if values.dtype.kind in "iu" else np.rint(values)
        at = np.clip(whole.astype(np.int64) - self.first, 0, len(self.table) - 1)
        found: FloatArray = self.table.astype(np.float32)[at]
        return found


def read_lut(item: Dataset, *, signed: bool, big_endian: bool = False) -> Lut:
    """Read an item of Modality LUT Sequence or VOI LUT Sequence (PS3.3 C.11.1.1, C.11.2.1.1).

    Parameters
    ----------
    signed
        Whether the values that go in may be negative: what the first value mapped then means where its value
        representation does not tell it.

    Raises
    ------
    SeriesRefused
        If descriptor and data do not belong together.
    """
    entries, first, bits = _descriptor(item, signed=signed, big_endian=big_endian)
    data = item.get("LUTData")
    try:
        if isinstance(data, bytes):
            table = _from_bytes(data, entries, big_endian=big_endian)
        else:
            table = np.asarray(data if isinstance(data, Sequence) else [data], dtype=np.uint16)
    except (TypeError, ValueError, OverflowError) as exc:
        raise SeriesRefused("LUT Data holds something that is not a number of 16 bits") from exc
    if len(table) < entries:
        raise SeriesRefused("LUT Data is shorter than LUT Descriptor says")
    table = table[:entries]
    return Lut(first, table, max((1 << bits) - 1, int(table.max())))


def _descriptor(item: Dataset, *, signed: bool, big_endian: bool) -> tuple[int, int, int]:
    value = item.get("LUTDescriptor")
    if isinstance(value, bytes):  # implicit VR: pydicom leaves "US or SS" alone
        value = np.frombuffer(value[:6], dtype=">u2" if big_endian else "<u2").tolist()
    if not isinstance(value, Sequence) or len(value) != 3 or not all(isinstance(part, int) for part in value):
        raise SeriesRefused("LUT Descriptor does not have three values")
    entries, first, bits = (int(part) for part in value)
    if not 1 <= bits <= 16:
        raise SeriesRefused("LUT Descriptor does not say 8 to 16 bits an entry")
    first &= 0xFFFF
    if first >= 1 << 15 and (signed or item["LUTDescriptor"].VR == "SS"):
        first -= 1 << 16
    return (entries & 0xFFFF) or MAX_ENTRIES, first, bits


def _from_bytes(data: bytes, entries: int, *, big_endian: bool) -> npt.NDArray[np.uint16]:
    """Read OW data: words, or bytes where there is one an entry (a byte at the end makes the length even)."""
    if len(data) == entries + entries % 2 and entries > 1:
        return np.frombuffer(data, dtype=np.uint8, count=entries).astype(np.uint16)
    words = np.frombuffer(data[: len(data) // 2 * 2], dtype=">u2" if big_endian else "<u2")
    return words.astype(np.uint16)
