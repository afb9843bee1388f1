"""Cubes to train on: candidates that hit a lesion, lesions that no candidate hit, and candidates that hit nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from models.imaging.lung.candidates import SCALES_MM, Candidate
from models.imaging.lung.network import PATCH
from models.imaging.lung.patches import describe, extract
from models.training.lung_nodule.data import Scan, hits, places

#: Cubes are kept wider than the network's by this on each side, so that they can be shifted.
MARGIN = 2

#: Candidates without a lesion that are kept of a scan: the strongest, and some at random.
STRONGEST, AT_RANDOM = 55, 35

#: A lesion that no candidate hit is shown with this strength.
TYPICAL_STRENGTH = 60.0


@dataclass(frozen=True, eq=False)
class Examples:
    """Cubes ``[n, 2, size, size, size]``, numbers ``[n, 2]`` and labels ``[n]`` of some scans."""

    cubes: npt.NDArray[np.float16]
    numbers: npt.NDArray[np.float32]
    truth: npt.NDArray[np.int64]


def examples_of(scan: Scan, seed: int, margin: int = MARGIN, *, everything: bool = False) -> Examples:
    """Cut the examples of one scan; ``everything`` keeps all candidates and adds none."""
    rng = np.random.default_rng([seed, 3])
    found = hits(scan, places(scan, scan.candidates))
    chosen = list(scan.candidates)
    truth = [int(number >= 0) for number in found]
    if not everything:
        idle = np.flatnonzero(found < 0)
        rest = idle[STRONGEST:]
        kept = [*idle[:STRONGEST], *rng.choice(rest, min(AT_RANDOM, rest.size), replace=False)]
        kept = sorted([int(i) for i in kept] + [int(i) for i in np.flatnonzero(found >= 0)])
        chosen = [chosen[i] for i in kept]
        truth = [truth[i] for i in kept]
        missed = _missed(scan, found, rng)
        chosen += missed
        truth += [1] * len(missed)
    cubes = extract(scan.working, chosen, PATCH + 2 * margin)
    return Examples(cubes, describe(chosen), np.array(truth, dtype=np.int64))


def _missed(scan: Scan, found: npt.NDArray[np.int64], rng: np.random.Generator) -> list[Candidate]:
    """Candidates near the centre of each lesion, twice for those that no candidate hit."""
    inverse = np.linalg.inv(scan.working.affine)
    made = []
    for number, item in enumerate(scan.nodules):
        centre = (inverse @ [*item.lesion.centre, 1.0])[:3]
        scale = _scale_of(item.long_mm)
        for _ in range(1 if (found == number).any() else 2):
            z, y, x = (int(v) for v in np.rint(centre + rng.normal(size=3) * 0.8))
            made.append(Candidate((z, y, x), scale, float(TYPICAL_STRENGTH * rng.uniform(0.5, 2.0))))
    return made


def _scale_of(long_mm: float) -> float:
    """Scale that answers most strongly to a lesion of a length."""
    return min(SCALES_MM, key=lambda scale: abs(float(np.log(2 * np.sqrt(3) * scale / long_mm))))


def joined(parts: Iterable[Examples]) -> Examples:
    """Join the examples of several scans."""
    items = list(parts)
    return Examples(
        np.concatenate([item.cubes for item in items]),
        np.concatenate([item.numbers for item in items]),
        np.concatenate([item.truth for item in items]),
    )


class Cubes:
    """Examples as a training set: shifted, mirrored, turned by right angles in the plane, and changed in intensity."""

    def __init__(self, examples: Examples, *, augmented: bool = True) -> None:
        self._examples = examples
        self._augmented = augmented

    @property
    def labels(self) -> Sequence[int]:
        """Class of each example."""
        return [int(label) for label in self._examples.truth]

    def __len__(self) -> int:
        """Number of examples."""
        return len(self._examples.truth)

    def item(self, index: int, generator: torch.Generator) -> Mapping[str, torch.Tensor]:
        """One example; all randomness is drawn from ``generator``."""
        cubes = torch.from_numpy(self._examples.cubes[index]).float()
        if self._augmented:
            cubes = _augmented(cubes, generator)
        return {
            "input": cubes.contiguous(),
            "numbers": torch.from_numpy(self._examples.numbers[index]),
            "truth": torch.tensor(float(self._examples.truth[index])),
        }


def _augmented(cubes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Change one pair of cubes; the near one is shifted by up to two voxels, the wide one by as many millimetres."""
    shift = torch.randint(-MARGIN, MARGIN + 1, (3,), generator=generator)
    near = _cut(cubes[0], [int(v) for v in shift])
    wide = _cut(cubes[1], [round(float(v) / 2) for v in shift])
    pair = torch.stack([near, wide])
    coins = torch.rand(5, generator=generator)
    axes = [axis + 1 for axis in range(3) if coins[axis] < 0.5]
    pair = pair.flip(axes) if axes else pair
    pair = pair.transpose(2, 3) if coins[3] < 0.5 else pair
    change = torch.randn(2, generator=generator)
    pair = pair * (1 + 0.06 * change[0]) + 0.02 * change[1]
    if coins[4] < 0.4:
        strength = 0.04 * torch.rand(1, generator=generator)
        pair = pair + strength * torch.randn(pair.shape, generator=generator)
    return pair


def _cut(cube: torch.Tensor, shift: Sequence[int]) -> torch.Tensor:
    parts = tuple(slice(MARGIN + v, MARGIN + v + PATCH) for v in shift)
    return cube[parts]
