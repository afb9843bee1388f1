"""The COVID-19 Image Repository of Hannover: radiographs, laboratory values, and what became of the patients.

Offsets in ``data.csv`` are days from the picture: negative before it, 0 on its day. Every patient has COVID-19.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from models.contracts import FloatArray
from models.training.framework.data import DataError
from models.training.framework.division import Split, divide

SPLIT_SEED = 0
HELD_OUT = 0.2

#: Laboratory values older than this many days before the picture, or later than it, are not of its moment.
LAB_DAYS = 2

#: Columns of ``data.csv`` that are read, by the name of the value in :mod:`models.imaging.chest_xray.labs`.
LAB_COLUMNS: Mapping[str, str] = {
    "crp": "crp",
    "ldh": "ldh",
    "d_dimer": "d-dimer",
    "lymphocytes": "lymphocytes",
    "neutrophils": "neutrophils",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One picture of one patient.

    Parameters
    ----------
    picture, patient
        Identifiers of the data set.
    view
        ``"AP"`` or ``"PA"``.
    labs
        Values within :data:`LAB_DAYS` before the picture, by name, in the units of the model.
    severe
        Whether the patient was admitted to intensive care, or died, on the day of the picture or later.
    days
        From the picture to the first of these; None where neither came.
    """

    picture: str
    patient: str
    view: str
    labs: Mapping[str, float]
    severe: bool
    days: float | None


def read_cases(folder: Path) -> list[Case]:
    """Pictures that are there and could be asked about: none of a patient who had been in intensive care before it.

    A patient who was in intensive care at any time according to any row, but not (again) after this picture, is left
    out with this picture: what it shows is after the fact. So is one who died on an earlier day.
    """
    rows = _rows(folder)
    ever = {row["patient_id"] for row in rows if _number(row["icu_admission_offset"]) is not None}
    there = {path.stem for path in (folder / "png").glob("*.png")}
    found = [_case(row, row["patient_id"] in ever) for row in rows if row["image_id"] in there]
    return sorted((case for case in found if case is not None), key=lambda case: case.picture)


def divided(cases: list[Case]) -> Split:
    """Divide the pictures by patient: a fifth of the patients of each outcome is held out; there is no validation part.

    What would be chosen on a validation part is chosen by cross-validation in the training part, which is all that so
    few patients leave room for.
    """
    patient = {case.picture: case.patient for case in cases}
    severe = {case.patient for case in cases if case.severe}
    return divide(
        patient, patient.__getitem__, SPLIT_SEED, held_out=HELD_OUT, validation=0.0,
        stratum_of=lambda name: str(patient[name] in severe),
    )  # fmt: skip


def training_pictures(folder: Path) -> dict[str, Path]:
    """Every picture that is no held-out patient's, by its name: what other trainings may look at."""
    cases = read_cases(folder)
    patient = {case.picture: case.patient for case in cases}
    held_out = {patient[name] for name in divided(cases).held_out}
    rows = _rows(folder)
    paths = {row["image_id"]: folder / "png" / f"{row['image_id']}.png" for row in rows}
    free = {row["image_id"] for row in rows if row["patient_id"] not in held_out}
    return {name: path for name, path in sorted(paths.items()) if name in free and path.is_file()}


def read_picture(path: Path) -> FloatArray:
    """``[row, column]`` float32, 0 to 1."""
    try:
        with Image.open(path) as image:
            grey: FloatArray = (np.asarray(image.convert("L"), dtype=np.float32) / 255).astype(np.float32)
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{path.name} cannot be read as a picture") from error
    return grey


def _rows(folder: Path) -> list[dict[str, str]]:
    path = folder / "data.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise DataError(f"no data.csv in {folder}") from error
    if not rows or not {"patient_id", "image_id", "icu_admission_offset", "death_offset"} <= rows[0].keys():
        raise DataError(f"{path.name} is not that of the COVID-19 Image Repository")
    return rows


def _case(row: Mapping[str, str], ever_in_care: bool) -> Case | None:
    admitted, died = _number(row["icu_admission_offset"]), _number(row["death_offset"])
    if (admitted is None and ever_in_care) or (admitted is not None and admitted < 0) or (died or 0) < 0:
        return None
    days = min((day for day in (admitted, died) if day is not None), default=None)
    labs = {name: value for name, column in LAB_COLUMNS.items() if (value := _lab(row, column)) is not None}
    return Case(row["image_id"], row["patient_id"], row["projection"].upper(), labs, days is not None, days)


def _lab(row: Mapping[str, str], column: str) -> float | None:
    """Value of the moment; None where it is missing, older, later, or beyond what the laboratory can measure."""
    days, value = _number(row[f"{column}_offset"]), _number(row[f"{column}_val"])
    if days is None or value is None or not -LAB_DAYS <= days <= 0:
        return None
    return value


def _number(text: str) -> float | None:
    """Read a number; None for an empty field and for ``inf`` and ``-inf`` (above and below what can be measured)."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
