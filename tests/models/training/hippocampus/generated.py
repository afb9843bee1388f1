"""A generated data set in the form of the Medical Segmentation Decathlon's."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from models.training.framework.data import LabelledVolume
from tests.models.phantoms import blob


def labelled(number: int) -> LabelledVolume:
    """One case: two blocks side by side, labelled 1 and 2."""
    volume = blob((24, 30, 24), seed=number)
    labels = np.zeros(volume.array.shape, dtype=np.uint8)
    labels[8:16, 8:15, 8:16] = 1
    labels[8:16, 15:22, 8:16] = 2
    return LabelledVolume(f"hippocampus_{number:03d}", volume, labels)


def write_data_set(folder: Path, numbers: Iterable[int]) -> None:
    """Write cases as NIfTI."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number in numbers:
        item = labelled(number)
        name = f"{item.case}.nii.gz"
        for part, array in (("images", item.volume.array), ("labels", item.labels)):
            image: Any = nibabel.Nifti1Image  # its constructor carries no types
            nibabel.save(image(np.transpose(array)[:, ::-1], np.eye(4)), folder / part / name)
