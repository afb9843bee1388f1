"""A series on disk becomes a :class:`models.contracts.Volume` and the headers that results are built from."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)

from models.contracts import FloatArray, Volume
from workers.errors import SeriesRefused
from workers.geometry import Plane, Stack, planes_of, stack
from workers.pixels import PIXEL_KEYWORDS, check_pixels, fill_modality_values, frame_count, stored_values

#: Storage SOP classes whose planes lie in the patient's coordinate system and whose values are quantities of a volume.
CROSS_SECTIONAL = frozenset(
    {
        CTImageStorage,
        EnhancedCTImageStorage,
        EnhancedMRImageStorage,
        EnhancedPETImageStorage,
        LegacyConvertedEnhancedCTImageStorage,
        LegacyConvertedEnhancedMRImageStorage,
        LegacyConvertedEnhancedPETImageStorage,
        MRImageStorage,
        PositronEmissionTomographyImageStorage,
    }
)

#: Largest volume that is read: 4 GiB of float32, far above a whole-body CT, so that a hostile header allocates no more.
MAX_VOXELS = 1 << 30

#: What a model may know besides pixels and geometry: nothing that identifies a patient.
ATTRIBUTES = (
    "BodyPartExamined",
    "ContrastBolusAgent",
    "ConvolutionKernel",
    "EchoTime",
    "ImageLaterality",
    "ImageType",
    "KVP",
    "Laterality",
    "MagneticFieldStrength",
    "Manufacturer",
    "ManufacturerModelName",
    "MRAcquisitionType",
    "PatientPosition",
    "ProtocolName",
    "RepetitionTime",
    "ScanningSequence",
    "SequenceName",
    "SeriesDescription",
    "SliceThickness",
)


@dataclass(frozen=True, eq=False)
class LoadedSeries:
    """A series as models and builders need it.

    Parameters
    ----------
    volume
        Modality values and geometry; slices in order along the normal.
    sources
        Headers without pixel data, in slice order; a single one for a multi-frame image.
    """

    volume: Volume
    sources: tuple[Dataset, ...]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Python warnings: those of pydicom and highdicom quote attribute values, which no log may hold."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_series(paths: Sequence[Path]) -> LoadedSeries:
    """Read the instances of one series, given in any order.

    Raises
    ------
    workers.errors.SeriesRefused
        If they are not one stack of grey-valued slices; :class:`~workers.errors.GeometryRefused` if the stack is not
        regular. The message says why, for people, without patient data.
    OSError
        If a file cannot be read at all.
    """
    with quiet():
        instances = [_read(path) for path in paths]
        try:
            return _assemble(instances)
        except (SeriesRefused, MemoryError):
            raise
        except Exception as exc:  # pydicom converts values when they are asked for: a broken one can raise anything
            raise SeriesRefused(f"an attribute cannot be interpreted ({type(exc).__name__})") from exc


def read_headers(paths: Sequence[Path]) -> tuple[Dataset, ...]:
    """Read the headers of one series, as :attr:`LoadedSeries.sources` has them, without decoding a pixel.

    Raises
    ------
    workers.errors.SeriesRefused
        As :func:`read_series`, but for what concerns pixels.
    OSError
        If a file cannot be read at all.
    """
    with quiet():
        instances = [_read(path, stop_before_pixels=True) for path in paths]
        try:
            _check_one_series(instances)
            planes, stacked = locate(instances)
        except SeriesRefused:
            raise
        except Exception as exc:  # as in read_series
            raise SeriesRefused(f"an attribute cannot be interpreted ({type(exc).__name__})") from exc
        return _in_slice_order(instances, len(planes), stacked)


def _in_slice_order(instances: Sequence[Dataset], planes: int, stacked: Stack) -> tuple[Dataset, ...]:
    """Sort single-frame instances; the one multi-frame instance stays as it is."""
    return tuple(instances) if len(instances) < planes else tuple(instances[index] for index in stacked.order)


def _read(path: Path, *, stop_before_pixels: bool = False) -> Dataset:
    try:
        return dcmread(path, stop_before_pixels=stop_before_pixels)
    except OSError:
        raise
    except Exception as exc:
        raise SeriesRefused("an instance cannot be parsed as DICOM") from exc


def _assemble(instances: list[Dataset]) -> LoadedSeries:
    _check_one_series(instances)
    for ds in instances:
        check_pixels(ds)
    planes, stacked = locate(instances)
    voxels = int(np.prod(stacked.geometry.shape, dtype=object))
    if voxels > MAX_VOXELS:
        raise SeriesRefused(f"the volume has {voxels} voxels, more than {MAX_VOXELS} are not read")
    array = _fill(instances, stacked)
    first = instances[0]
    volume = Volume(array, stacked.geometry, str(first.get("Modality", "")), _attributes(first))
    return LoadedSeries(volume, _in_slice_order(instances, len(planes), stacked))


def locate(instances: Sequence[Dataset]) -> tuple[list[Plane], Stack]:
    """Planes of all instances, in the order given, and the grid that they form.

    Raises
    ------
    workers.errors.GeometryRefused
        If they form none.
    """
    planes = [plane for ds in instances for plane in planes_of(ds)]
    return planes, stack(planes)


def _check_one_series(instances: Sequence[Dataset]) -> None:
    if not instances:
        raise SeriesRefused("the series has no instances")
    for ds in instances:
        if ds.get("SOPClassUID") not in CROSS_SECTIONAL:
            raise SeriesRefused("an instance is not a cross-sectional image (CT, MR or PET image storage)")
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
            if not ds.get(keyword):
                raise SeriesRefused(f"{keyword} is missing")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPClassUID", "Modality"):
        if len({str(ds.get(keyword)) for ds in instances}) > 1:
            raise SeriesRefused(f"the instances have several values of {keyword}")
    if len(instances) > 1 and any(frame_count(ds) > 1 for ds in instances):
        raise SeriesRefused("the series has several multi-frame images: which of them is meant is not known")


def _fill(instances: Sequence[Dataset], stacked: Stack) -> FloatArray:
    """Decode instance after instance into one array, dropping the encoded pixels on the way."""
    array: FloatArray = np.empty(stacked.geometry.shape, dtype=np.float32)
    slice_of = {index: k for k, index in enumerate(stacked.order)}
    index = 0
    for ds in instances:
        for frame, stored in enumerate(stored_values(ds)):
            fill_modality_values(ds, frame, stored, array[slice_of[index]])
            index += 1
        _drop_pixels(ds)
    return array


def _drop_pixels(ds: Dataset) -> None:
    for keyword in PIXEL_KEYWORDS:
        if keyword in ds:
            del ds[keyword]


def _attributes(ds: Dataset) -> dict[str, str]:
    found = {}
    for keyword in ATTRIBUTES:
        value = ds.get(keyword)
        if value not in (None, ""):
            found[keyword] = "\\".join(str(v) for v in value) if isinstance(value, MultiValue) else str(value)
    return found
