"""The error of every reader of a data set, and labelled volumes in NIfTI."""

from __future__ import annotations

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
