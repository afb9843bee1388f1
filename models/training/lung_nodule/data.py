"""Scans for training and evaluation: generated ones, and a real thorax, one side for training, one held out.

The real thorax is one file, ``thorax.npz``, which :mod:`workers.export` makes of a DICOM series: ``array`` (HU, int16,
``[slice, row, column]``), ``affine`` (4x4, index to LPS mm) and ``boxes`` (``[n, 5]``: slice, first row, first column,
last row, last column of boxes of tumours). Its right lung is for training, its left one, where the tumour is, is held
out; an image is cut between the lungs before anything is cut out of it, so that no voxel is in both parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.contracts import Geometry, Side, Volume
from models.imaging.lung.candidates import Candidate, find_candidates
from models.imaging.lung.grid import Working, resampled, to_native
from models.imaging.lung.segmentation import Lungs, Mask, find_lungs
from models.training.framework.data import DataError
from models.training.lung_nodule.lesions import Inserted, insert, place
from models.training.lung_nodule.thorax import thorax

THORAX_FILE = "thorax.npz"

#: Thickness of generated slices in mm, and how often each.
THICKNESS_MM = (1.25, 2.0, 2.5, 3.0, 5.0)
OFTEN = (0.25, 0.2, 0.2, 0.15, 0.2)

#: A detection hits a lesion within its radius, and at least within this, in mm.
LEAST_HIT_MM = 4.0


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan with its lesions, and what is found before the network.

    Parameters
    ----------
    case
        Name in the division of the data.
    volume
        The image as a scanner would give it.
    nodules
        What was inserted.
    working, lungs
        The image on the working grid, and where nodules are looked for on it; of a real thorax one side only.
    candidates
        Of the side that is left.
    """

    case: str
    volume: Volume
    nodules: tuple[Inserted, ...]
    working: Working
    lungs: Mask
    candidates: tuple[Candidate, ...]


def generated(seed: int, nodules: int) -> Scan:
    """Generate one scan; thickness of slices, size, kernel and dose follow from the seed."""
    rng = np.random.default_rng([seed, 1])
    thick = float(rng.choice(THICKNESS_MM, p=OFTEN))
    pixel = float(rng.uniform(1.25, 1.65))
    side, height = round(345 / pixel), float(rng.uniform(250, 300))
    volume, truth = thorax(seed, (round(height / thick), side, side), (thick, pixel, pixel), nodules)
    working = resampled(volume)
    lungs = find_lungs(working).both
    return Scan(f"generated-{seed}", volume, truth.nodules, working, lungs, tuple(find_candidates(working, lungs)))


@dataclass(frozen=True, eq=False)
class RealThorax:
    """A real thorax without the lesions that are inserted into it.

    Parameters
    ----------
    lungs
        On the working grid.
    share
        ``[slice, row, column]`` of the volume: 1 in the lungs.
    boxes
        ``[n, 5]``: slice, first row, first column, last row, last column of boxes of tumours.
    """

    volume: Volume
    lungs: Lungs
    share: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.int64]


def read_thorax(data: Path) -> RealThorax:
    """Read ``thorax.npz`` of a folder."""
    path = data / THORAX_FILE
    if not path.is_file():
        raise DataError(f"no {THORAX_FILE} in {data}: make it of a CT series with python -m workers.export")
    with np.load(path) as parts:
        array, affine, boxes = parts["array"].astype(np.float32), parts["affine"], parts["boxes"]
    a, b, c = (int(n) for n in array.shape)
    volume = Volume(array, Geometry(affine, (a, b, c)), "CT", {"BodyPartExamined": "CHEST"})
    lungs = find_lungs(resampled(volume))
    share = to_native(lungs.both.astype(np.float32), volume)
    return RealThorax(volume, lungs, share, boxes.astype(np.int64))


def with_lesions(real: RealThorax, side: Side, seed: int, count: int) -> Scan:
    """Insert lesions into one lung of the real thorax; the scan that is given is cut between the lungs."""
    rng = np.random.default_rng([seed, 2])
    affine = real.volume.geometry.affine
    share = np.where(_side_of_columns(real, side), real.share, 0).astype(np.float32)
    array = real.volume.array.copy()
    found: list[Inserted] = []
    for lesion in place(rng, share, affine, count):
        done = insert(array, affine, share, lesion, psf_mm=0.5)
        if done is not None:
            found.append(done)
    volume = replace(real.volume, array=array)
    working, lungs = half(resampled(volume), real.lungs, side)
    candidates = tuple(find_candidates(working, lungs))
    return Scan(f"real-{side}-{seed}", volume, tuple(found), working, lungs, candidates)


def half(working: Working, lungs: Lungs, side: Side) -> tuple[Working, Mask]:
    """Cut the working grid between the lungs and keep one side with its lung."""
    middle = _middle(lungs)
    columns = slice(0, middle) if side is Side.RIGHT else slice(middle, None)
    mask = lungs.right if side is Side.RIGHT else lungs.left
    affine = working.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (columns.start or 0)
    return Working(np.ascontiguousarray(working.array[:, :, columns]), affine), mask[:, :, columns].copy()


def _middle(lungs: Lungs) -> int:
    """Column of the working grid between the centres of the lungs."""
    centres = [
        float((mask.sum((0, 1)) * np.arange(mask.shape[2])).sum() / mask.sum()) for mask in (lungs.right, lungs.left)
    ]
    return round(sum(centres) / 2)


def _side_of_columns(real: RealThorax, side: Side) -> npt.NDArray[np.bool_]:
    """Voxels of the volume on a side of the cut, at least a centimetre from it, as ``[slice, row, column]``."""
    working = real.lungs.both
    middle = _middle(real.lungs)
    only = np.zeros(working.shape, np.float32)
    only[:, :, slice(0, middle - 8) if side is Side.RIGHT else slice(middle + 8, None)] = 1
    return to_native(only, real.volume) > 0.99


def hits(scan: Scan, places: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Number of the lesion that each place ``[n, 3]`` (LPS mm) hits, -1 for none."""
    found = np.full(len(places), -1)
    if not scan.nodules or not len(places):
        return found
    centres = np.array([item.lesion.centre for item in scan.nodules])
    reach = np.array([max(item.long_mm / 2, LEAST_HIT_MM) for item in scan.nodules])
    away = np.linalg.norm(places[:, None] - centres[None], axis=2) / reach
    nearest = away.argmin(1)
    inside = away[np.arange(len(places)), nearest] <= 1
    found[inside] = nearest[inside]
    return found


def places(scan: Scan, candidates: Sequence[Candidate]) -> npt.NDArray[np.float64]:
    """LPS mm of candidates, ``[n, 3]``."""
    if not candidates:
        return np.empty((0, 3))
    return scan.working.to_patient([candidate.index for candidate in candidates])


def real_side(real: RealThorax, side: Side) -> Scan:
    """One side of the real thorax as it is."""
    working, lungs = half(resampled(real.volume), real.lungs, side)
    return Scan(f"real-{side}", real.volume, (), working, lungs, tuple(find_candidates(working, lungs)))


def in_boxes(real: RealThorax, at: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Whether each place ``[n, 3]`` (LPS mm) lies in each box of the tumour: ``[n, boxes]``."""
    inverse = np.linalg.inv(real.volume.geometry.affine)
    index = (at @ inverse[:3, :3].T + inverse[:3, 3])[:, None]
    boxes = real.boxes[None]
    inside: npt.NDArray[np.bool_] = (
        (np.abs(index[..., 0] - boxes[..., 0]) <= 0.5)
        & (index[..., 1] >= boxes[..., 1])
        & (index[..., 1] <= boxes[..., 3])
        & (index[..., 2] >= boxes[..., 2])
        & (index[..., 2] <= boxes[..., 4])
    )
    return inside
