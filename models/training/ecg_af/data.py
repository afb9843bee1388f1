"""The two data sets of the rhythm model: single leads of CinC 2017, and twelve leads of PTB-XL."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.signals.ecg.network import FIBRILLATION, NORMAL, OTHER
from models.signals.ecg.preparing import RATE_HZ, prepare
from models.signals.filters import Array
from models.signals.qrs import Beats, find_beats
from models.training.framework.data import DataError

#: Labels: the network's rhythms, then strips that are too noisy, and "not fibrillation" (12-lead set).
NOISE = 3
NOT_FIBRILLATION = 4
CINC_LABELS: Mapping[str, int] = {"N": NORMAL, "A": FIBRILLATION, "O": OTHER, "~": NOISE}

#: Folders of the two sets, as they are looked for below the data folder.
SINGLE_FOLDER = "ecg-af-cinc2017"
TWELVE_FOLDER = "ecg12-ptbxl-slice"
SINGLE_LABELS = "subset.csv"

#: Length of the header of a MATLAB 4 file with one matrix called "val", in bytes; records are int16 at 1000 per mV.
_MAT4_HEADER = 24
_PER_MILLIVOLT = 1000.0
CINC_RATE_HZ = 300.0

#: Folds of PTB-XL that are held out (its authors recommend 9 for validation and 10 for testing).
HELD_OUT_FOLDS = ("9", "10")


@dataclass(frozen=True, eq=False)
class Strip:
    """One labelled record.

    Parameters
    ----------
    case
        Name in the data set.
    group
        Patient where the set names them, else the record.
    fold
        Of PTB-XL; "" elsewhere.
    samples
        ``[lead, sample]`` as the network reads it.
    beats
        Sample index of each beat.
    label
        One of the rhythms, :data:`NOISE` or :data:`NOT_FIBRILLATION`.
    """

    case: str
    group: str
    fold: str
    samples: Array
    beats: Beats
    label: int


def read_mat4(path: Path) -> npt.NDArray[np.int16]:
    """Read the one row of a record of CinC 2017; checks the header's type and size."""
    data = path.read_bytes()
    kind, rows, columns, imaginary, name_length = np.frombuffer(data[:20], dtype="<i4")
    start = 20 + int(name_length)
    if (kind, rows, imaginary) != (30, 1, 0) or start != _MAT4_HEADER or len(data) != start + 2 * int(columns):
        raise DataError(f"{path.name} is not a MATLAB 4 file with one row of 16-bit integers")
    return np.frombuffer(data[start:], dtype="<i2")


def _strip(case: str, group: str, fold: str, raw: npt.NDArray[np.floating], rate_hz: float, label: int) -> Strip:
    samples = prepare(raw, rate_hz)
    return Strip(case, group, fold, samples, find_beats(samples, RATE_HZ), label)


def _millivolts(path: Path) -> Array:
    return read_mat4(path)[None].astype(np.float64) / _PER_MILLIVOLT


def read_millivolts(data: Path, case: str) -> Array:
    """Read one single-lead record as it was recorded, ``[1, sample]`` in mV at :data:`CINC_RATE_HZ`."""
    return _millivolts(_folder(data, SINGLE_FOLDER, SINGLE_LABELS) / f"{case}.mat")


def read_single(data: Path) -> list[Strip]:
    """Read the single-lead records that are there and have a label, in the order of their names."""
    folder = _folder(data, SINGLE_FOLDER, SINGLE_LABELS)
    with (folder / SINGLE_LABELS).open(encoding="utf-8", newline="") as file:
        labels = {row["record"]: CINC_LABELS[row["label"]] for row in csv.DictReader(file)}
    paths = sorted(path for path in folder.glob("A*.mat") if path.stem in labels)
    return [_strip(path.stem, path.stem, "", _millivolts(path), CINC_RATE_HZ, labels[path.stem]) for path in paths]


def read_twelve(data: Path) -> list[Strip]:
    """Read the twelve-lead records, in the order of their numbers."""
    folder = _folder(data, TWELVE_FOLDER, "ptbxl_labels.csv")
    with (folder / "ptbxl_labels.csv").open(encoding="utf-8", newline="") as file:
        rows = {int(row["ecg_id"]): row for row in csv.DictReader(file)}
    with np.load(folder / "ptbxl_100hz.npz", allow_pickle=False) as arrays:
        signals, numbers, rate_hz = arrays["ecg"], arrays["ecg_id"], float(arrays["fs"])
    return [
        _strip(
            f"ptbxl-{number}",
            f"ptbxl-patient-{rows[number]['patient_id']}",
            rows[number]["strat_fold"],
            signals[at].T.astype(np.float64),
            rate_hz,
            FIBRILLATION if rows[number]["labels"] == "AFIB" else NOT_FIBRILLATION,
        )
        for number, at in sorted((int(number), at) for at, number in enumerate(numbers))
    ]


def _folder(data: Path, name: str, file: str) -> Path:
    """Folder of one set: below ``data`` or beside it."""
    for folder in (data / name, data.parent / name, data):
        if (folder / file).is_file():
            return folder
    raise DataError(f"no {name}/{file} below {data}: give the folder that holds {SINGLE_FOLDER} and {TWELVE_FOLDER}")


def pick(strips: Sequence[Strip], cases: Sequence[str]) -> list[Strip]:
    """Strips of these cases, in the cases' order."""
    by_case = {strip.case: strip for strip in strips}
    return [by_case[case] for case in cases]
