"""Candidates for nodules: bright blobs in the lungs at several scales; no network.

At each scale the image is smoothed with a Gaussian; local maxima of the negative Laplacian are blobs, tubes or sheets.
The smallest curvature of the three principal ones (eigenvalues of the Hessian) tells blobs, which are curved in every
direction, from tubes and sheets (Li Q, Sone S, Doi K. Med Phys 2003;30:2040-2051). Tissue outside the lungs is replaced
by lung before, so that a nodule at the pleura is a blob too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.contracts import FloatArray
from models.imaging.lung.grid import Working
from models.imaging.lung.segmentation import Mask, bounding_box

#: Scales in mm; a ball of the diameter 3.5 times the scale answers most strongly.
SCALES_MM = (1.4, 2.2, 3.4, 5.2, 7.6)

#: From this scale on the image is taken at half the resolution.
COARSE_FROM_MM = 3.0

#: Least answer (scale squared times curvature, in HU) of a maximum that is looked at.
LEAST_HU = 25.0

#: Candidates nearer than this to a stronger one are the same, in mm.
LEAST_APART_MM = 3.0

#: How much the smallest curvature counts against the sum of all three.
BLOB_WEIGHT = 2.0

#: What stands for tissue outside the lungs.
LUNG_HU = -850.0

#: Values above are cut before filtering, so that calcium and metal do not outshine all else.
BRIGHTEST_HU = 150.0

#: Most candidates of each scale: small blobs are many, and must not crowd out large, faint ones.
MOST_BY_SCALE = (120, 80, 60, 40, 25)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A blob.

    Parameters
    ----------
    index
        ``(z, y, x)`` on the working grid.
    scale
        In mm.
    strength
        In HU; larger is more like a blob.
    """

    index: tuple[int, int, int]
    scale: float
    strength: float

    @property
    def diameter(self) -> float:
        """Diameter in mm of the ball that answers most strongly at this scale."""
        return float(2 * np.sqrt(3) * self.scale)


def find_candidates(working: Working, lungs: Mask) -> list[Candidate]:
    """Find blobs inside ``lungs``, the strongest first, none inside a stronger one."""
    box = bounding_box(lungs, 4)
    mask = lungs[box]
    image = np.where(mask, np.clip(working.array[box], -1000, BRIGHTEST_HU), LUNG_HU).astype(np.float32)
    half = np.ascontiguousarray(ndimage.uniform_filter(image, 2, mode="nearest")[::2, ::2, ::2])
    found: list[Candidate] = []
    step = float(np.mean(working.spacing))
    for scale, most in zip(SCALES_MM, MOST_BY_SCALE, strict=True):
        fine = scale < COARSE_FROM_MM
        grid, factor = (image, 1) if fine else (half, 2)
        blobs = _blobs(grid, mask[::factor, ::factor, ::factor], scale, step * factor, factor)
        found += _apart(blobs, step)[:most]
    offset = [part.start for part in box]
    return [_moved(candidate, offset) for candidate in _apart(found, step)]


def _blobs(image: FloatArray, mask: Mask, scale: float, step: float, factor: int) -> list[Candidate]:
    smooth = ndimage.gaussian_filter(image, scale / step, mode="nearest", truncate=3.0)
    answer = -((scale / step) ** 2) * ndimage.laplace(smooth, mode="nearest")
    peak = (answer == ndimage.maximum_filter(answer, 3)) & (answer > 3 * LEAST_HU) & mask
    points = np.argwhere(peak)
    points = points[((points > 0) & (points < np.array(image.shape) - 1)).all(1)]
    if not points.size:
        return []
    curvature = np.linalg.eigvalsh(_hessian(smooth, points)) * (scale / step) ** 2
    least = -curvature[:, 2]
    strength = least * BLOB_WEIGHT / 3 - curvature.sum(1) * (3 - BLOB_WEIGHT) / 9
    kept = np.flatnonzero(least > LEAST_HU / 3)
    return [_candidate(points[i], factor, scale, float(strength[i])) for i in kept]


def _candidate(point: npt.NDArray[np.int64], factor: int, scale: float, strength: float) -> Candidate:
    z, y, x = (int(v) * factor + factor // 2 for v in point)
    return Candidate((z, y, x), scale, strength)


def _hessian(smooth: FloatArray, points: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Second derivatives ``[n, 3, 3]`` at points, by differences of one voxel."""

    def at(*shift: int) -> npt.NDArray[np.float64]:
        z, y, x = (points + np.array(shift)).T
        return np.asarray(smooth[z, y, x], dtype=np.float64)

    unit = np.eye(3, dtype=int)
    matrix = np.empty((len(points), 3, 3))
    middle = at(0, 0, 0)
    for i in range(3):
        matrix[:, i, i] = at(*unit[i]) - 2 * middle + at(*-unit[i])
        for j in range(i):
            mixed = at(*(unit[i] + unit[j])) + at(*-(unit[i] + unit[j])) - at(*(unit[i] - unit[j]))
            matrix[:, i, j] = matrix[:, j, i] = (mixed - at(*(unit[j] - unit[i]))) / 4
    return matrix


def _apart(found: list[Candidate], step: float) -> list[Candidate]:
    """Sort by strength; leave out what lies inside the ball of a stronger one."""
    ordered = sorted(found, key=lambda item: (-item.strength, item.index))
    places = np.array([item.index for item in ordered], dtype=np.float64).reshape(-1, 3) * step
    free = np.ones(len(ordered), dtype=bool)
    kept = []
    for number, candidate in enumerate(ordered):
        if free[number]:
            kept.append(candidate)
            near = max(candidate.diameter / 2, LEAST_APART_MM)
            free &= np.linalg.norm(places - places[number], axis=1) >= near
    return kept


def _moved(candidate: Candidate, offset: Sequence[int]) -> Candidate:
    z, y, x = (i + start for i, start in zip(candidate.index, offset, strict=True))
    return Candidate((z, y, x), candidate.scale, candidate.strength)
