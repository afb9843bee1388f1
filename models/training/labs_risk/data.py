"""Reading the stays of the PhysioNet/CinC Challenge 2012 as records, and dividing them."""

from __future__ import annotations

import csv
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from models.contracts import Record, RecordValue
from models.labs.window import HOURS, Window, read_record
from models.training.framework.data import DataError
from models.training.framework.division import Split, divide, folds

STAYS_FILE = "stays.tar.gz"
OUTCOMES_FILE = "outcomes.csv"
HELD_OUT = 0.2
FOLDS_SEED = 0

#: Parameter of the challenge to LOINC and unit. Magnesium is in mg/dL, although the challenge says mmol/L: the median
#: is 2.0, and that of healthy people is 2.0 mg/dL or 0.85 mmol/L.
PARAMETERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "HR": ("8867-4", "/min"),
        "SysABP": ("76215-3", "mm[Hg]"),
        "NISysABP": ("76534-7", "mm[Hg]"),
        "DiasABP": ("76213-8", "mm[Hg]"),
        "NIDiasABP": ("76535-4", "mm[Hg]"),
        "MAP": ("76214-6", "mm[Hg]"),
        "NIMAP": ("76536-2", "mm[Hg]"),
        "Temp": ("8310-5", "Cel"),
        "RespRate": ("9279-1", "/min"),
        "GCS": ("9269-2", "1"),
        "Urine": ("9187-6", "mL"),
        "FiO2": ("3150-0", "1"),
        "SaO2": ("2708-6", "%"),
        "pH": ("2744-1", "1"),
        "PaCO2": ("2019-8", "mm[Hg]"),
        "PaO2": ("2703-7", "mm[Hg]"),
        "HCO3": ("1963-8", "mmol/L"),
        "Lactate": ("32693-4", "mmol/L"),
        "Na": ("2951-2", "mmol/L"),
        "K": ("2823-3", "mmol/L"),
        "Mg": ("19123-9", "mg/dL"),
        "Glucose": ("2345-7", "mg/dL"),
        "Creatinine": ("2160-0", "mg/dL"),
        "BUN": ("3094-0", "mg/dL"),
        "Bilirubin": ("1975-2", "mg/dL"),
        "AST": ("1920-8", "U/L"),
        "ALT": ("1742-6", "U/L"),
        "ALP": ("6768-6", "U/L"),
        "Albumin": ("1751-7", "g/dL"),
        "TroponinT": ("6598-7", "ug/L"),
        "HCT": ("4544-3", "%"),
        "Platelets": ("777-3", "10*3/uL"),
        "WBC": ("6690-2", "10*3/uL"),
    }
)


@dataclass(frozen=True, eq=False)
class Stay:
    """One stay: its identifier, what is read of its record, and whether the patient died in hospital."""

    case: str
    window: Window
    died: bool


def parse_stay(text: str) -> Record:
    """Make a record of a stay's file; hours are before the end of its 48 hours.

    Lines are ``HH:MM,parameter,value``; descriptors stand at 00:00, with -1 for what is not known.
    """
    values, age, sex = [], None, ""
    for row in (line.split(",") for line in text.splitlines()):
        if len(row) != 3 or row[1] == "Parameter":
            continue
        time, parameter, number = row[0], row[1], float(row[2])
        if parameter == "Age":
            age = number if number >= 0 else None
        elif parameter == "Gender":
            sex = {0.0: "F", 1.0: "M"}.get(number, "")
        elif parameter in PARAMETERS:
            hours, _, minutes = time.partition(":")
            code, unit = PARAMETERS[parameter]
            values.append(RecordValue(code, number, unit, int(hours) + int(minutes) / 60 - HOURS))
    return Record(tuple(values), age, sex)


def _outcomes(path: Path) -> dict[str, bool]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row["RecordID"]: row["In-hospital_death"] == "1" for row in csv.DictReader(file)}


def stay_files(path: Path) -> Iterator[tuple[str, str]]:
    """Give the name and the text of each stay's file."""
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() and member.name.endswith(".txt") else None
            if file is not None:
                yield Path(member.name).stem, file.read().decode("utf-8")


def read_stays(folder: Path) -> dict[str, Stay]:
    """Read all stays that have an outcome; :class:`DataError` where files are missing."""
    missing = [name for name in (STAYS_FILE, OUTCOMES_FILE) if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder} has no {' and no '.join(missing)}")
    outcomes = _outcomes(folder / OUTCOMES_FILE)
    stays = {
        case: Stay(case, read_record(parse_stay(text)), outcomes[case])
        for case, text in stay_files(folder / STAYS_FILE)
        if case in outcomes
    }
    if not stays:
        raise DataError(f"{folder / STAYS_FILE} has no stay with an outcome")
    return stays


def split_stays(stays: Mapping[str, Stay]) -> Split:
    """Hold out a fifth of the stays, with its share of deaths; the rest is divided into folds by the trainer.

    The data set names no patients, so each stay is its own group; whether two stays are of one person cannot be told.
    """
    return divide(
        stays, lambda case: case, held_out=HELD_OUT, validation=0.0, stratum_of=lambda case: str(stays[case].died)
    )


def in_folds(stays: Mapping[str, Stay], cases: Sequence[str], count: int) -> list[tuple[list[Stay], list[Stay]]]:
    """Divide cases into folds with their share of deaths: of each the stays to train on, and those to validate on.

    The folds are the same for every seed of a training.
    """
    dealt = folds(cases, lambda case: case, FOLDS_SEED, count, lambda case: str(stays[case].died))
    return [([stays[case] for case in train], [stays[case] for case in others]) for train, others in dealt]
