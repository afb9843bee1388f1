"""The two folders of a command: what it gets, and what it may leave. docs/bring_your_own.md has the contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.contracts import Radiograph, UnusableOutput, Volume
from models.site import nifti
from models.site.onto import as_labels, onto, overlap
from models.site.working import Working

INPUT_JSON = "input.json"
RESULT = "result.json"
LABELS = ("labels.nii.gz", "labels.nii", "labels.npy")
MAX_RESULT_BYTES = 4 << 20

Millimetres = Annotated[float, Field(allow_inf_nan=False, ge=-1e5, le=1e5)]
Share = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1)]
Value = Annotated[float, Field(allow_inf_nan=False)]
Sentence = Annotated[str, Field(max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Place(BaseModel):
    """One thing that was found: where, how sure, how large."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    label: str
    score: Share
    lps: tuple[Millimetres, Millimetres, Millimetres]
    diameter_mm: Annotated[float, Field(gt=0, le=2000)] | None = None


class Result(BaseModel):
    """``result.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    values: dict[str, Value] = Field(default_factory=dict, max_length=255)
    places: tuple[Place, ...] = Field(default=(), max_length=1000)
    warnings: tuple[Sentence, ...] = Field(default=(), max_length=20)


#: Words of the contract; others, which may be about the patient, are not repeated.
WORDS = frozenset({*Result.model_fields, *Place.model_fields})


def write_input(source: Volume | Radiograph, folder: Path, form: str) -> None:
    """Write the image and what is known of it; no identity is among that."""
    volume = isinstance(source, Volume)
    array = source.array if source.array.ndim == 3 else source.array[None]
    affine = source.geometry.affine if isinstance(source, Volume) else np.eye(4)
    if form == "nifti":
        nifti.write(folder / "input.nii.gz", np.ascontiguousarray(array, dtype=np.float32), affine)
    else:
        np.save(folder / "input.npy", np.ascontiguousarray(source.array, dtype=np.float32))
    said = {
        "kind": "volume" if volume else "radiograph",
        "file": "input.nii.gz" if form == "nifti" else "input.npy",
        "axes": ["slice", "row", "column"] if volume else ["row", "column"],
        "shape": list(source.array.shape),
        "affine_lps": affine.tolist() if volume else None,
        "modality": source.modality,
        "view": "" if isinstance(source, Volume) else source.view,
        "attributes": dict(source.attributes),
    }
    (folder / INPUT_JSON).write_text(json.dumps(said, indent=2), encoding="utf-8")


def read_result(folder: Path) -> Result:
    """Read ``result.json``; a command that draws may leave it out."""
    path = _plain(folder, RESULT)
    if path is None:
        return Result()
    if path.stat().st_size > MAX_RESULT_BYTES:
        raise UnusableOutput(f"{RESULT} is larger than {MAX_RESULT_BYTES >> 20} MB")
    try:
        return Result.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part in WORDS or isinstance(part, int))
        raise UnusableOutput(
            f"{RESULT} is not what the contract says: {f'{where}: ' if where else ''}{first['type']}"
        ) from None


def read_labels(folder: Path, image: Working) -> npt.NDArray[np.uint8]:
    """Read the label map on the grid of the input, ``[slice, row, column]`` or, of a radiograph, ``[row, column]``."""
    path = next((found for name in LABELS if (found := _plain(folder, name)) is not None), None)
    if path is None:
        raise UnusableOutput(f"the command left none of {', '.join(LABELS)}")
    if path.suffix == ".npy":
        return as_labels(_same(_load(path), image.shape))
    array, affine = nifti.read(path)
    if image.affine is None:
        if not np.allclose(affine, np.eye(4), atol=1e-4):
            raise UnusableOutput(
                f"{path.name} does not lie where the radiograph does, it may be turned: keep the affine of "
                "input.nii.gz, or leave labels.npy"
            )
        return as_labels(_same(array[0] if array.shape[0] == 1 else array, image.shape))
    if not overlap(array.shape, affine, image.affine, image.shape):
        raise UnusableOutput(f"{path.name} lies outside the image: keep the affine of input.nii.gz")
    return onto(as_labels(array), affine, image.affine, image.shape)


def _load(path: Path) -> npt.NDArray[Any]:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy reads the header as Python, with all errors that this has
        raise UnusableOutput(f"{path.name} is no array of numpy") from error
    if not isinstance(found, np.ndarray):
        raise UnusableOutput(f"{path.name} is several arrays (npz): leave one, by numpy.save")
    return found


def _same(labels: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    if labels.shape != shape:
        raise UnusableOutput(f"the label map is of {labels.shape} voxels; the input of {shape}")
    return labels


def _plain(folder: Path, name: str) -> Path | None:
    """A plain file of the answer; a link that leads out of the folder is none."""
    path = folder / name
    if path.is_symlink():
        raise UnusableOutput(f"{name} is a link, not a file")
    return path if path.is_file() else None
