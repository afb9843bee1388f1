"""Objects whose content follows from a number, so that what was sent need not be remembered to be compared."""

from __future__ import annotations

import random
from dataclasses import dataclass

import xxhash
from pydicom.uid import ExplicitVRLittleEndian

from tests.node.dicom.objects import MR, encoded, image

SMALL, MIDDLE, LARGE = (500, 8_000), (60_000, 400_000), (2_100_000, 2_600_000)
"""Bytes of pixels; beyond 2 MiB an object does not fit into the receiver's memory and goes into its file in pieces."""
SYNTAX = str(ExplicitVRLittleEndian)
CLASS = MR
_UID = "1.2.826.0.1.{:010d}.{:07d}"
_FIRST_RUN, _FIRST = 10**9, 10**6
"""Numbers begin here, so that all UIDs are of one length and no component has a leading zero (PS3.5 section 9.1)."""
_PLACE = _UID.format(_FIRST_RUN, _FIRST)
_NOISE = random.Random(1).randbytes(4_000_000)


@dataclass(frozen=True, slots=True)
class Sample:
    """One object: its SOP Instance UID, its data set and that one's digest."""

    uid: str
    data: bytes
    digest: str


def template() -> bytes:
    """Return a data set without its pixels: their element's length is written by :func:`sample`."""
    ds = image(SOPInstanceUID=_PLACE, Rows=1, Columns=1, PixelData=b"\0\0")
    data = encoded(ds)
    return data[: data.rindex(b"\xe0\x7f\x10\x00")]


class Maker:
    """Makes objects; ``campaign`` keeps the UIDs of several runs apart."""

    def __init__(self, campaign: int) -> None:
        self._campaign = campaign
        self._template = template()
        assert self._template.count(_PLACE.encode()) == 1

    def sample(self, number: int, size: int, variant: int = 0) -> Sample:
        """Return object ``number`` with ``size`` bytes of pixels; ``variant`` changes the content, not the UID."""
        uid = _UID.format(_FIRST_RUN + self._campaign, _FIRST + number)
        size += size % 2
        start = (number * 7919 + variant * 104_729) % 400_000
        pixels = _NOISE[start : start + size]
        head = self._template.replace(_PLACE.encode(), uid.encode())
        data = head + b"\xe0\x7f\x10\x00OW\x00\x00" + size.to_bytes(4, "little") + pixels
        return Sample(uid, data, f"xxh128:{xxhash.xxh3_128_hexdigest(data)}")

    def choose(self, number: int, chance: random.Random, large: float = 0.005) -> Sample:
        """Return object ``number`` with a size by chance."""
        fate = chance.random()
        limits = LARGE if fate < large else MIDDLE if fate < large + 0.03 else SMALL
        return self.sample(number, chance.randrange(*limits))

    def other(self, sample: Sample) -> Sample:
        """Return another content under the same UID."""
        number = int(sample.uid.rsplit(".", 1)[1]) - _FIRST
        return self.sample(number, len(sample.data) % 30_000 + 100, variant=1)
