"""PneumoniaMNIST: labelled pictures of 28 x 28, its copies taken out, and its division.

The set's own ``val`` part is held out; training and validation part come from ``train``. The set names no patients, so
that two pictures of one child may be in two parts; what can be seen from the pictures alone is that some are there
twice, byte for byte. Copies within ``train`` are dropped but for the first, and so are those of held-out pictures.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.contracts import FloatArray
from models.imaging.chest_xray.picture import SIDE
from models.training.framework.data import DataError
from models.training.framework.division import Split, divide

FILES = ("pneumoniamnist_train_val.npz", "pneumoniamnist.npz")
SPLIT_SEED = 0
VALIDATION = 0.12


@dataclass(frozen=True, eq=False)
class Pictures:
    """Labelled pictures.

    Parameters
    ----------
    names
        ``train-0001`` and the like: part and place in the data set's file.
    pixels
        ``[n, 28, 28]`` float32, 0 to 1.
    labels
        ``[n]`` 1 for pneumonia.
    """

    names: tuple[str, ...]
    pixels: FloatArray
    labels: tuple[int, ...]

    def __len__(self) -> int:
        """Give the number of pictures."""
        return len(self.names)

    def picked(self, names: Iterable[str]) -> Pictures:
        """Those of the given names, in their order."""
        place = {name: index for index, name in enumerate(self.names)}
        chosen = [place[name] for name in names]
        return Pictures(
            tuple(self.names[i] for i in chosen), self.pixels[chosen], tuple(self.labels[i] for i in chosen)
        )


@dataclass(frozen=True, eq=False)
class Parts:
    """The divided data set, and how many copies were left out of it."""

    train: Pictures
    validation: Pictures
    held_out: Pictures
    split: Split
    copies: dict[str, int]


def read_parts(folder: Path) -> Parts:
    """Read the data set and divide it: the same parts on every machine.

    Raises
    ------
    DataError
        If there is no file of the set in ``folder``, or it is not one.
    """
    own, held_out = _read(folder)
    kept, copies = without_copies(own, held_out)
    label = dict(zip(kept.names, kept.labels, strict=True))
    parts = divide(
        kept.names, str, SPLIT_SEED, held_out=0.0, validation=VALIDATION, stratum_of=lambda name: str(label[name])
    )
    split = Split(parts.train, parts.validation, held_out.names)
    return Parts(kept.picked(split.train), kept.picked(split.validation), held_out, split, copies)


def without_copies(own: Pictures, held_out: Pictures) -> tuple[Pictures, dict[str, int]]:
    """Drop what is in the held-out part or came before, byte for byte; and say how many of each there were."""
    seen = {picture.tobytes() for picture in held_out.pixels}
    of_held_out = [name for name, picture in zip(own.names, own.pixels, strict=True) if picture.tobytes() in seen]
    kept = []
    for name, picture in zip(own.names, own.pixels, strict=True):
        if picture.tobytes() not in seen:
            seen.add(picture.tobytes())
            kept.append(name)
    within = len(own) - len(of_held_out) - len(kept)
    return own.picked(kept), {"of_held_out_pictures": len(of_held_out), "within_training": within}


def likeness(of: FloatArray, to: FloatArray) -> FloatArray:
    """Highest correlation of each picture ``of`` with any of ``to``, both less the mean picture of ``to``."""
    usual = to.mean(0)

    def directions(pictures: FloatArray) -> FloatArray:
        off = (pictures - usual).reshape(len(pictures), -1)
        off = off - off.mean(1, keepdims=True)
        found: FloatArray = off / np.linalg.norm(off, axis=1, keepdims=True)
        return found

    highest: FloatArray = (directions(of) @ directions(to).T).max(1)
    return highest


def _read(folder: Path) -> tuple[Pictures, Pictures]:
    path = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"no {' or '.join(FILES)} in {folder}")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return _pictures("train", arrays), _pictures("val", arrays)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path.name} is not a file of PneumoniaMNIST: {error}") from error


def _pictures(part: str, arrays: np.lib.npyio.NpzFile) -> Pictures:
    grey, labels = arrays[f"{part}_images"], np.asarray(arrays[f"{part}_labels"]).ravel()
    if grey.shape != (labels.size, SIDE, SIDE) or grey.dtype != np.uint8:
        raise ValueError(f"its {part} part has the shape {grey.shape}")
    names = tuple(f"{part}-{index:04d}" for index in range(labels.size))
    return Pictures(names, (grey / 255.0).astype(np.float32), tuple(int(label) for label in labels))


def joined(some: Sequence[FloatArray]) -> FloatArray:
    """Put arrays of pictures after one another."""
    found: FloatArray = np.concatenate([pictures for pictures in some if len(pictures)]).astype(np.float32)
    return found
