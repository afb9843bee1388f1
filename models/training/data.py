"""Reading labelled NIfTI volumes and dividing them, by subject, into training, validation and held-out parts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.contracts import Geometry, LabelArray, ModelError, Volume

#: NIfTI's patient axes are right, anterior, superior; DICOM's are left, posterior, superior.
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


class DataError(ModelError):
    """The training data cannot be read, or the folder does not hold what is expected."""


@dataclass(frozen=True, eq=False)
class LabelledVolume:
    """An image with its reference labels on the same grid.

    Parameters
    ----------
    case
        Identifier within the data set.
    volume
        The image.
    labels
        ``[slice, row, column]`` uint8.
    """

    case: str
    volume: Volume
    labels: LabelArray


@dataclass(frozen=True, slots=True)
class Split:
    """Case identifiers of the three parts, each sorted."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    held_out: tuple[str, ...]

    def as_dict(self) -> dict[str, list[str]]:
        """Lists by name of the part, for JSON."""
        return {"train": list(self.train), "validation": list(self.validation), "held_out": list(self.held_out)}


def split_by_group(
    cases: Iterable[str],
    group_of: Callable[[str], str],
    seed: int,
    held_out: float = 0.2,
    validation: float = 0.12,
) -> Split:
    """Divide cases so that those of one group (one subject) stay together.

    Groups are ordered by the SHA-256 of ``seed`` and their name and fill the held-out part first, then the validation
    part, until each has its share of the cases: the same on every machine, and independent of the order of files.

    Parameters
    ----------
    cases
        Identifiers.
    group_of
        Name of the group that a case belongs to.
    seed
        Another seed gives another division.
    held_out, validation
        Share of all cases.
    """
    groups: dict[str, list[str]] = {}
    for case in sorted(cases):
        groups.setdefault(group_of(case), []).append(case)
    order = sorted(groups, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).hexdigest())
    total = sum(len(members) for members in groups.values())
    parts: list[list[str]] = [[], [], []]
    limits = (round(total * held_out), round(total * validation))
    for group in order:
        part = next((i for i, limit in enumerate(limits) if len(parts[i]) < limit), 2)
        parts[part].extend(groups[group])
    return Split(tuple(sorted(parts[2])), tuple(sorted(parts[1])), tuple(sorted(parts[0])))


def _nibabel() -> Any:
    try:
        import nibabel
    except ImportError as error:
        raise DataError("reading NIfTI needs nibabel: pip install 'overread[train]'") from error
    return nibabel


def read_nifti(path: Path) -> tuple[np.ndarray[Any, np.dtype[Any]], np.ndarray[Any, np.dtype[np.float64]]]:
    """Read one 3-D NIfTI file.

    Returns
    -------
    array
        ``[z, y, x]``: the file's axes reversed, so that they read as slice, row, column.
    affine
        4x4, index ``(z, y, x, 1)`` to LPS millimetres.
    """
    image = _nibabel().load(path)
    array = np.asanyarray(image.dataobj)
    if array.ndim != 3:
        raise DataError(f"{path.name} has {array.ndim} axes, three are expected")
    affine = _RAS_TO_LPS @ np.asarray(image.affine, dtype=np.float64)
    affine[:, :3] = affine[:, 2::-1]
    return np.transpose(array), affine


def read_labelled(image: Path, label: Path, case: str, modality: str = "MR") -> LabelledVolume:
    """Read an image and its labels; raise :class:`DataError` where their grids differ."""
    array, affine = read_nifti(image)
    labels, label_affine = read_nifti(label)
    if array.shape != labels.shape or not np.allclose(affine, label_affine, atol=1e-3):
        raise DataError(f"image and labels of {case} are not on the same grid")
    values = np.ascontiguousarray(array, dtype=np.float32)
    slices, rows, columns = values.shape
    grid = Geometry(affine, (slices, rows, columns))
    return LabelledVolume(case, Volume(values, grid, modality), np.ascontiguousarray(labels, dtype=np.uint8))


def find_cases(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Pair ``images/*.nii.gz`` with ``labels/*.nii.gz`` (or Decathlon's ``imagesTr``, ``labelsTr``) by file name."""
    for images, labels in (("images", "labels"), ("imagesTr", "labelsTr")):
        files = sorted((folder / images).glob("[!.]*.nii.gz"))
        pairs = {file.name.removesuffix(".nii.gz"): (file, folder / labels / file.name) for file in files}
        if pairs:
            missing = [case for case, (_, label) in pairs.items() if not label.is_file()]
            if missing:
                raise DataError(f"{len(missing)} images have no labels, the first is {missing[0]}")
            return pairs
    raise DataError(f"no images/*.nii.gz or imagesTr/*.nii.gz in {folder}")
