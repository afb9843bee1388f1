"""A series on disk becomes a :class:`models.contracts.Volume` and the headers that results are built from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
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

from models.contracts import FloatArray, InputRequirements, Prediction, Volume
from workers.errors import SeriesRefused
from workers.reading.decoding import DecoderPool
from workers.reading.instances import attributes_of, check_one_series, interpreting, one_of_each, quiet, read_file
from workers.reading.pixels import (
    NO_PIXELS,
    PIXEL_DESCRIPTION,
    PIXEL_KEYWORDS,
    check_pixels,
    fill_modality_values,
    frame_count,
    is_slow,
    stored_values,
)
from workers.reading.volume import gate, resampling
from workers.reading.volume.geometry import planes_of
from workers.reading.volume.marks import marks_of

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

#: Most threads that read and decode one series in this process.
MAX_THREADS = 2

#: Fewest compressed images that decoding processes are started for.
MIN_POOLED = 16

#: What all instances of a series have one value of.
ONE_VALUE = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPClassUID", "Modality")

#: What is asked of a series where no model's card is at hand: one regular, right-angled stack and nothing besides.
STRICT = InputRequirements(modalities=(), spacing_mm=(0.0, inf), extent_mm=(0.0, inf))


@dataclass(frozen=True, eq=False)
class LoadedSeries:
    """A series as models and builders need it.

    Parameters
    ----------
    volume
        Modality values and geometry; slices in order along the normal, on a grid that the model can take.
    sources
        Headers without pixel data, in slice order; a single one for a multi-frame image. Images that do not belong to
        the stack are left out.
    planes
        Digest of where the source slices lie, which is looked at again before results are written.
    warnings
        Sentences on what was left out and what was resampled.
    way
        How the volume was resampled, None where it is the source slices themselves.
    """

    volume: Volume
    sources: tuple[Dataset, ...]
    planes: str = ""
    warnings: tuple[str, ...] = ()
    way: resampling.Resampling | None = None

    @property
    def source(self) -> Volume:
        """What a model reads."""
        return self.volume

    def bring_back(self, prediction: Prediction) -> Prediction:
        """Put a prediction on :attr:`volume` on the source slices, and say what was done to these."""
        if self.way is not None:
            prediction = resampling.bring_back(self.way, prediction)
        return replace(prediction, warnings=(*self.warnings, *prediction.warnings)) if self.warnings else prediction


def read_series(
    paths: Sequence[Path], needs: InputRequirements = STRICT, pool: DecoderPool | None = None
) -> LoadedSeries:
    """Read the instances of one series, given in any order.

    Parameters
    ----------
    paths
        The files.
    needs
        What the model's card allows a series to be; see :mod:`workers.reading.volume.gate`.
    pool
        Processes that decode compressed slices, at least :data:`MIN_POOLED` of them; without, this one does.

    Raises
    ------
    workers.errors.SeriesRefused
        If they are not grey-valued slices of one series; :class:`~workers.errors.GeometryRefused` if how they lie is
        not allowed. The message says why, for people, without patient data.
    OSError
        If a file cannot be read at all.
    """
    with quiet():
        instances = [read_file(path, defer=True) for path in paths]
    with interpreting():
        return _assemble(instances, needs, pool)


def read_headers(paths: Sequence[Path]) -> tuple[Dataset, ...]:
    """Read the headers of one series, as :attr:`LoadedSeries.sources` has them, without decoding a pixel.

    Whether a model may have them was decided when they were read for it: irregular ones are read here too.

    Raises
    ------
    workers.errors.SeriesRefused
        If no model could have had them.
    OSError
        If a file cannot be read at all.
    """
    with quiet():
        instances = [read_file(path, stop_before_pixels=True) for path in paths]
    with interpreting():
        _check_one_series(instances)
        found = locate(instances)
        return found.sources(found.survey.stack)


def _assemble(instances: list[Dataset], needs: InputRequirements, pool: DecoderPool | None) -> LoadedSeries:
    _check_one_series(instances)
    if any("PixelData" not in ds for ds in instances):
        raise SeriesRefused(NO_PIXELS)
    for ds in one_of_each(instances, PIXEL_DESCRIPTION):
        check_pixels(ds)
    found = locate(instances)
    decision = gate.decide(found.survey, needs, found.same_pixels)
    layout = decision.stack.layout
    way = resampling.plan(layout) if decision.resample else None
    for shape in (layout.shape, *(() if way is None else (way.grid.shape,))):
        if (voxels := int(np.prod(shape, dtype=object))) > MAX_VOXELS:
            raise SeriesRefused(f"the volume has {voxels} voxels, more than {MAX_VOXELS} are not read")
    array, warnings = _fill(found, decision.stack, pool), decision.warnings
    if way is not None:
        array, warnings = way.forward(array), (*warnings, resampling.said(way))
    first = instances[found.frames[decision.stack.order[0]][0]]
    grid = layout if way is None else way.grid
    volume = Volume(array, grid, str(first.get("Modality", "")), attributes_of(first))
    return LoadedSeries(volume, found.sources(decision.stack), found.digest(decision.stack), warnings, way)


@dataclass(frozen=True, eq=False)
class Located:
    """Instances and what the gate finds among their planes.

    Parameters
    ----------
    instances
        In the order given.
    frames
        Instance and frame of each plane, by index.
    survey
        The stacks among the planes.
    """

    instances: Sequence[Dataset]
    frames: tuple[tuple[int, int], ...]
    survey: gate.Survey

    def key(self, plane: int) -> gate.Key:
        """Name of a plane."""
        instance, frame = self.frames[plane]
        return str(self.instances[instance].SOPInstanceUID), frame

    def sources(self, stack: gate.FoundStack) -> tuple[Dataset, ...]:
        """Give single-frame instances in slice order; the one multi-frame instance stays as it is."""
        if len(self.instances) == 1:
            return tuple(self.instances)
        return tuple(self.instances[self.frames[plane][0]] for plane in stack.order)

    def digest(self, stack: gate.FoundStack) -> str:
        """Digest of where the slices of a stack lie."""
        planes = [self.survey.planes[plane] for plane in stack.order]
        return gate.planes_digest([self.key(plane) for plane in stack.order], planes)

    def same_pixels(self, one: int, other: int) -> bool:
        """Whether two planes have the same modality values."""
        return bool(np.array_equal(self._values(one), self._values(other)))

    def _values(self, plane: int) -> FloatArray:
        instance, frame = self.frames[plane]
        ds = self.instances[instance]
        stored = stored_values(ds)[frame]
        values: FloatArray = np.empty(stored.shape, dtype=np.float32)
        fill_modality_values(ds, frame, stored, values)
        return values


def locate(instances: Sequence[Dataset]) -> Located:
    """Survey the planes of all instances, given in any order.

    Raises
    ------
    workers.errors.GeometryRefused
        If they do not say where they lie, or there is no stack among them.
    """
    planes, frames = [], []
    for at, ds in enumerate(instances):
        found = planes_of(ds)
        planes += found
        frames += [(at, frame) for frame in range(len(found))]
    keys = [(str(instances[at].SOPInstanceUID), frame) for at, frame in frames]
    survey = gate.survey(planes, keys, lambda plane: marks_of(instances[frames[plane][0]], frames[plane][1]))
    return Located(instances, tuple(frames), survey)


def _check_one_series(instances: Sequence[Dataset]) -> None:
    various = one_of_each(instances, (*ONE_VALUE, "NumberOfFrames"))
    for ds in various:
        if ds.get("SOPClassUID") not in CROSS_SECTIONAL:
            raise SeriesRefused("an instance is not a cross-sectional image (CT, MR or PET image storage)")
        if not ds.get("FrameOfReferenceUID"):
            raise SeriesRefused("FrameOfReferenceUID is missing")
    check_one_series(various, ONE_VALUE)
    if not all(ds.get("SOPInstanceUID") for ds in instances):
        raise SeriesRefused("SOPInstanceUID is missing")
    if len(instances) > 1 and any(frame_count(ds) > 1 for ds in various):
        raise SeriesRefused("the series has several multi-frame images: which of them is meant is not known")


def _fill(found: Located, stack: gate.FoundStack, pool: DecoderPool | None) -> FloatArray:
    """Decode all instances into one array, dropping the encoded pixels on the way.

    Reading and converting let other threads run; most decoders do not, so they run in processes of their own.
    """
    array: FloatArray = np.empty(stack.layout.shape, dtype=np.float32)
    wanted: dict[int, list[tuple[int, int]]] = {}
    for k, plane in enumerate(stack.order):
        instance, frame = found.frames[plane]
        wanted.setdefault(instance, []).append((frame, k))

    pool = pool if sum(is_slow(found.instances[at]) for at in wanted) >= MIN_POOLED else None
    workers = min(MAX_THREADS, os.cpu_count() or 1) if pool is None else pool.processes + 1

    def fill(at: int) -> None:
        ds = found.instances[at]
        stored = stored_values(ds, pool)
        for frame, k in wanted[at]:
            fill_modality_values(ds, frame, stored[frame], array[k])
        _drop_pixels(ds)

    with ThreadPoolExecutor(workers) as threads:
        for _ in threads.map(fill, sorted(wanted)):
            pass
    for ds in found.instances:
        _drop_pixels(ds)
    return array


def _drop_pixels(ds: Dataset) -> None:
    for keyword in PIXEL_KEYWORDS:
        if keyword in ds:
            del ds[keyword]
