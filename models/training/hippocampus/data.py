"""Cases of the Medical Segmentation Decathlon's task 4 as the hippocampus network is trained on them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models import geometry
from models.imaging.hippocampus_parts import SEGMENTS, SPACING_MM
from models.imaging.preprocessing import prepare
from models.training.framework.data import DataError, LabelledVolume, find_cases, read_labelled
from models.training.framework.division import Split, split_by_group
from models.training.hippocampus.augmentation import Augmentation, sample_patch

#: Fixed, so that the held-out part stays held out whatever seed a training uses.
SPLIT_SEED = 4

#: Patches of ``[z, y, x]`` voxels; a case of the data set has 24 to 47, 40 to 59 and 31 to 43.
PATCH = (32, 48, 32)

Tensor = torch.Tensor


def subject_of(case: str) -> str:
    """Group of a case: the pair of numbers 2k - 1 and 2k.

    The data set holds both hippocampi of a patient as separate cases and does not say which belong together. Cases
    2k - 1 and 2k do, as far as the images tell: of the 58 such pairs in the part used here all have the same storage
    type, and their means of log intensity differ by 0.01 standard deviations, against 0.37 for the pairs 2k and
    2k + 1.
    """
    number = re.search(r"\d+$", case)
    return f"pair-{(int(number.group()) + 1) // 2:03d}" if number else case


def load_cases(data: Path) -> tuple[dict[str, LabelledVolume], Split]:
    """Read all cases of a folder and divide them, the same way for every training.

    Raises
    ------
    DataError
        If the folder, a file or a label is not as expected.
    """
    pairs = find_cases(data)
    cases = {case: read_labelled(image, label, case) for case, (image, label) in pairs.items()}
    odd = [case for case, item in cases.items() if int(item.labels.max()) > len(SEGMENTS)]
    if odd:
        raise DataError(f"labels beyond 0 to {len(SEGMENTS)} in {len(odd)} cases, the first is {odd[0]}")
    split = split_by_group(cases, subject_of, SPLIT_SEED)
    if not (split.train and split.validation and split.held_out):
        raise DataError(f"{len(cases)} cases are too few to divide into training, validation and held-out parts")
    return cases, split


@dataclass(frozen=True, eq=False)
class Example:
    """A case as the network sees it: normalised ``[z, y, x]`` image, and labels as ``[class, z, y, x]``."""

    image: Tensor
    onehot: Tensor


def make_example(item: LabelledVolume) -> Example:
    """Prepare a case exactly as inference does; cases are expected at the network's spacing."""
    canonical = prepare(item.volume, SPACING_MM)
    if canonical.resampled:
        raise DataError(f"{item.case} is not at {SPACING_MM:g} mm")
    labels = np.ascontiguousarray(geometry.to_canonical(item.labels, canonical.orientation))
    onehot = np.stack([labels == value for value in range(1 + len(SEGMENTS))]).astype(np.float32)
    return Example(torch.from_numpy(canonical.array), torch.from_numpy(onehot))


class Patches:
    """Training set of :func:`models.training.framework.fit.fit`: one augmented patch of each case in an epoch."""

    labels = None

    def __init__(self, items: Sequence[LabelledVolume], settings: Augmentation | None = None) -> None:
        self._examples = [make_example(item) for item in items]
        self._settings = settings or Augmentation()

    def __len__(self) -> int:
        """Number of cases."""
        return len(self._examples)

    def item(self, index: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        """Give one patch: ``input`` ``[1, z, y, x]`` float32, ``target`` of the same shape int64."""
        example = self._examples[index]
        image, labels = sample_patch(example.image, example.onehot, PATCH, self._settings, generator)
        return {"input": image, "target": labels}
