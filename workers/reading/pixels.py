"""Pixel data of one instance: from bytes to modality values.

Stored values are decoded (PS3.5 section 8), freed of bits that are not theirs, and put through the Modality LUT
(PS3.3 C.11.1), which is what a model sees: Hounsfield units for CT, the scanner's own scale for MR.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.processing import apply_modality_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from models.contracts import FloatArray
from workers.errors import SeriesRefused
from workers.reading.decoder import MARKED, is_whole
from workers.reading.decoding import Crashed, DecoderPool, Request
from workers.reading.plain import UNDEFINED

Stored = npt.NDArray[Any]

#: Transfer syntaxes whose pixels are plain little endian words and need no decoder.
NATIVE = frozenset({ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian})

#: Word lengths that are read; wider integers do not fit a float32 without loss.
BITS_ALLOCATED = (8, 16)

#: Elements that hold pixels (PS3.3 C.7.6.3, C.7.6.24, C.7.6.25); headers are kept without them.
PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


#: What :func:`check_pixels` looks at besides.
PIXEL_DESCRIPTION = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "Rows",
    "Columns",
)

PANIC = "PanicException"
"""What decoders written in Rust (RLE) raise on damaged data; it is no :class:`Exception`, and has no public module."""

NO_PIXELS = "an instance has no pixel data: not an image, or truncated"

#: Decoders by transfer syntax where pydicom's own choice is a slow one: of JPEG-LS 4 times, of RLE 3 times as slow.
DECODERS: Mapping[str, str] = MappingProxyType(
    {JPEGLSLossless: "pyjpegls", JPEGLSNearLossless: "pyjpegls", RLELossless: "pylibjpeg"}
)


def frame_count(ds: Dataset) -> int:
    """Number of frames of an instance, 1 where it does not say."""
    return int(ds.get("NumberOfFrames") or 1)


def check_pixels(ds: Dataset) -> None:
    """Refuse an instance whose pixels are not one grey value each.

    Raises
    ------
    SeriesRefused
        Naming what is not as it must be.
    """
    if "PixelData" not in ds:
        raise SeriesRefused(NO_PIXELS)
    if ds.get("SamplesPerPixel", 1) != 1:
        raise SeriesRefused(f"{ds.get('SamplesPerPixel')} samples per pixel: a colour image is not a volume of values")
    if str(ds.get("PhotometricInterpretation", "")) not in ("MONOCHROME1", "MONOCHROME2"):
        raise SeriesRefused("Photometric Interpretation is not MONOCHROME1 or MONOCHROME2")
    allocated, stored = ds.get("BitsAllocated"), ds.get("BitsStored")
    if allocated not in BITS_ALLOCATED:
        raise SeriesRefused(f"{allocated} bits allocated for a pixel: only 8 and 16 are read")
    if not isinstance(stored, int) or not 1 <= stored <= allocated:
        raise SeriesRefused("Bits Stored is missing or larger than Bits Allocated")
    if ds.get("HighBit", stored - 1) != stored - 1:
        raise SeriesRefused("High Bit is not Bits Stored - 1 (PS3.5 section 8.1.1)")
    if ds.get("PixelRepresentation") not in (0, 1):
        raise SeriesRefused("Pixel Representation is neither 0 nor 1")
    if not (int(ds.get("Rows") or 0) and int(ds.get("Columns") or 0)):
        raise SeriesRefused("Rows or Columns is missing or zero")


def is_slow(ds: Dataset) -> bool:
    """Whether decoding the pixels of an instance takes longer than having another process do it."""
    return ds.file_meta.TransferSyntaxUID not in NATIVE | {RLELossless}


def stored_values(ds: Dataset, pool: DecoderPool | None = None) -> Stored:
    """Decode the pixels of an instance that passed :func:`check_pixels`.

    Parameters
    ----------
    pool
        Processes that decode what is compressed and was left in the file; without them this one does.

    Returns
    -------
    numpy.ndarray
        ``[frame, row, column]``, integers.

    Raises
    ------
    SeriesRefused
        If the pixel data is short or its compression cannot be undone.
    """
    shape = (frame_count(ds), int(ds.Rows), int(ds.Columns))
    values = _native(ds, shape) if ds.file_meta.TransferSyntaxUID in NATIVE else _decoded(ds, shape, pool)
    return _own_bits(values, int(ds.BitsStored), signed=ds.PixelRepresentation == 1)


def fill_modality_values(ds: Dataset, frame: int, stored: Stored, out: FloatArray) -> None:
    """Write modality values of one frame, ``[row, column]`` float32, into ``out``.

    Notes
    -----
    Output is ``slope * stored + intercept`` (PS3.3 C.11.1.1.2); in a multi-frame image these stand in the Pixel Value
    Transformation functional group (C.7.6.16.2.9).
    """
    if "ModalityLUTSequence" in ds:
        out[...] = apply_modality_lut(stored, ds)
        return
    slope, intercept = rescale(ds, frame)
    out[...] = stored
    if slope != 1.0:
        out *= np.float32(slope)
    if intercept != 0.0:
        out += np.float32(intercept)


def _native(ds: Dataset, shape: tuple[int, int, int]) -> Stored:
    letter = "i" if ds.PixelRepresentation == 1 else "u"
    dtype = np.dtype(f"<{letter}{int(ds.BitsAllocated) // 8}")
    count = shape[0] * shape[1] * shape[2]
    element: Any = ds.get_item("PixelData", keep_deferred=True)
    if isinstance(element, RawDataElement) and element.value is None:
        values = _from_file(ds, element, dtype, count)
    else:
        data = element.value if isinstance(element.value, bytes) else b""
        values = np.frombuffer(data, dtype, min(count, len(data) // dtype.itemsize))
    if len(values) < count:
        raise SeriesRefused("the pixel data is shorter than rows, columns and frames ask for")
    return values.reshape(shape)


def _from_file(ds: Dataset, left: RawDataElement, dtype: np.dtype[Any], count: int) -> Stored:
    """Read values that were left in the file: at most what it holds of them, whatever the header says."""
    path = Path(ds.filename)
    held = min(left.length, path.stat().st_size) // dtype.itemsize
    return np.fromfile(path, dtype=dtype, count=min(held, count), offset=left.value_tell)


def _decoded(ds: Dataset, shape: tuple[int, int, int], pool: DecoderPool | None) -> Stored:
    syntax = ds.file_meta.TransferSyntaxUID
    plugin = DECODERS.get(syntax, "")
    request = _request(ds, shape, plugin) if pool is not None else None
    try:
        if pool is not None and request is not None and (found := pool.decode(request)) is not None:
            return found
        _check_ends(ds, shape[0])
        values = pixel_array(ds, raw=True, decoding_plugin=plugin)
    except (MemoryError, SeriesRefused):
        raise
    except Crashed as exc:
        raise SeriesRefused(f"the pixel data is damaged: its decoder crashed or did not end ({syntax.name})") from exc
    except BaseException as exc:
        if not isinstance(exc, Exception) and type(exc).__name__ != PANIC:
            raise
        raise SeriesRefused(f"the pixel data cannot be decoded ({syntax.name})") from exc
    if values.size != shape[0] * shape[1] * shape[2]:
        raise SeriesRefused("the decoded pixel data does not have the size that the header says")
    return values.reshape(shape)


def _check_ends(ds: Dataset, frames: int) -> None:
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax not in MARKED:
        return
    offsets = (ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths) if "ExtendedOffsetTable" in ds else None
    if not is_whole(syntax, generate_frames(ds.PixelData, number_of_frames=frames, extended_offsets=offsets)):
        raise SeriesRefused(f"the pixel data is truncated: a codestream has no end ({syntax.name})")


def _request(ds: Dataset, shape: tuple[int, int, int], plugin: str) -> Request | None:
    """Say where the pixels were left, and what they are; None for what a decoding process is not asked to do."""
    element: Any = ds.get_item("PixelData", keep_deferred=True)
    left = isinstance(element, RawDataElement) and element.value is None and element.length == UNDEFINED
    syntax = ds.file_meta.TransferSyntaxUID
    if not left or not syntax.is_encapsulated or "ExtendedOffsetTable" in ds:
        return None
    if any(keyword in ds for keyword in PIXEL_KEYWORDS[1:]):
        return None
    return Request(
        path=str(ds.filename),
        offset=element.value_tell,
        syntax=str(syntax),
        plugin=plugin,
        shape=shape,
        allocated=int(ds.BitsAllocated),
        stored=int(ds.BitsStored),
        signed=ds.PixelRepresentation == 1,
        photometric=str(ds.PhotometricInterpretation),
    )


def _own_bits(values: Stored, bits: int, *, signed: bool) -> Stored:
    """Drop bits above Bits Stored, which older objects use for overlays or leave without sign (PS3.5 8.1.1, 8.1.2)."""
    spare = values.dtype.itemsize * 8 - bits
    if spare <= 0 or values.dtype.kind not in "iu":
        return values
    if signed:
        own: Stored = np.right_shift(np.left_shift(values, spare), spare)
    else:
        own = np.bitwise_and(values, values.dtype.type((1 << bits) - 1))
    return own


def rescale(ds: Dataset, frame: int) -> tuple[float, float]:
    """Slope and intercept of one frame; 1 and 0 where the object has none."""
    for group in (*(ds.get("PerFrameFunctionalGroupsSequence") or [])[frame : frame + 1],
                  *(ds.get("SharedFunctionalGroupsSequence") or [])):  # fmt: skip
        if group.get("PixelValueTransformationSequence"):
            return _slope_intercept(group.PixelValueTransformationSequence[0])
    return _slope_intercept(ds)


def _slope_intercept(ds: Dataset) -> tuple[float, float]:
    try:
        slope, intercept = (
            float(ds.get(key) if ds.get(key) is not None else default)
            for key, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
        )
    except (TypeError, ValueError) as exc:
        raise SeriesRefused("Rescale Slope or Rescale Intercept is not a number") from exc
    if not (np.isfinite(slope) and np.isfinite(intercept)) or slope == 0:
        raise SeriesRefused("Rescale Slope is zero, or slope or intercept is not finite")
    return slope, intercept
