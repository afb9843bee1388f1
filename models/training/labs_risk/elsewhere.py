"""Stays of the MIMIC-IV demo, which the model was not trained on: the same hospital a decade later, laboratory alone.

Johnson A et al. MIMIC-IV Clinical Database Demo (version 2.2). PhysioNet 2023, https://doi.org/10.13026/dp1f-ex47. The
demo's charted vital signs are not read.
"""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from models.contracts import Record, RecordValue
from models.labs.networks import RiskNetwork
from models.labs.terms import MIN_VALUES, MIN_VARIABLES
from models.labs.window import HOURS, Window, read_record
from models.training.framework.calibration import Calibration
from models.training.framework.data import DataError
from models.training.labs_risk.data import Stay
from models.training.labs_risk.evaluation import full_report, logits_of

#: Folder of the demo, looked for beside that of the training set.
FOLDER = "ehr-mimic-iv-demo"

#: Item of the demo's laboratory to LOINC and unit, of blood; labels as ``hosp/d_labitems.csv.gz`` has them. Gases are
#: of any vessel: the demo does not say which.
ITEMS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "50971": ("2823-3", "mmol/L"),  # Potassium
        "50822": ("6298-4", "mmol/L"),  # Potassium, Whole Blood
        "50983": ("2951-2", "mmol/L"),  # Sodium
        "50824": ("2947-0", "mmol/L"),  # Sodium, Whole Blood
        "50882": ("1963-8", "mmol/L"),  # Bicarbonate
        "50960": ("19123-9", "mg/dL"),  # Magnesium
        "50931": ("2345-7", "mg/dL"),  # Glucose
        "50809": ("2339-0", "mg/dL"),  # Glucose (blood gas)
        "50912": ("2160-0", "mg/dL"),  # Creatinine
        "51006": ("3094-0", "mg/dL"),  # Urea Nitrogen
        "50885": ("1975-2", "mg/dL"),  # Bilirubin, Total
        "50878": ("1920-8", "U/L"),  # Asparate Aminotransferase (AST)
        "50861": ("1742-6", "U/L"),  # Alanine Aminotransferase (ALT)
        "50863": ("6768-6", "U/L"),  # Alkaline Phosphatase
        "50862": ("1751-7", "g/dL"),  # Albumin
        "51003": ("6598-7", "ug/L"),  # Troponin T
        "50813": ("32693-4", "mmol/L"),  # Lactate
        "50820": ("2744-1", "1"),  # pH
        "50818": ("2019-8", "mm[Hg]"),  # pCO2
        "50821": ("2703-7", "mm[Hg]"),  # pO2
        "50817": ("2708-6", "%"),  # Oxygen Saturation
        "51221": ("4544-3", "%"),  # Hematocrit
        "50810": ("20570-8", "%"),  # Hematocrit, Calculated
        "51265": ("777-3", "10*3/uL"),  # Platelet Count
        "51301": ("6690-2", "10*3/uL"),  # White Blood Cells
    }
)
_SECONDS_AN_HOUR = 3600.0
_HOURS_A_DAY = 24.0


def _rows(folder: Path, name: str) -> Iterator[dict[str, str]]:
    path = folder / f"{name}.csv.gz"
    if not path.is_file():
        raise DataError(f"{folder} has no {name}.csv.gz")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def read_stays_elsewhere(folder: Path) -> list[Stay]:
    """Read the first stay in intensive care of at least two days of each admission, as the model reads a record.

    Its 48 hours start when the patient comes to intensive care, as those of the training set do.
    """
    died = {row["hadm_id"]: row["hospital_expire_flag"] == "1" for row in _rows(folder, "hosp/admissions")}
    people = {row["subject_id"]: row for row in _rows(folder, "hosp/patients")}
    values: dict[str, list[tuple[datetime, str, float]]] = defaultdict(list)
    for row in _rows(folder, "hosp/labevents"):
        if row["itemid"] in ITEMS and row["valuenum"]:
            taken = datetime.fromisoformat(row["charttime"])
            values[row["subject_id"]].append((taken, row["itemid"], float(row["valuenum"])))
    return [
        Stay(stay["stay_id"], _window(stay, values[stay["subject_id"]], people[stay["subject_id"]]),
             died[stay["hadm_id"]])
        for stay in _long_stays(folder)
    ]  # fmt: skip


def _long_stays(folder: Path) -> list[dict[str, str]]:
    first: dict[str, dict[str, str]] = {}
    for row in sorted(_rows(folder, "icu/icustays"), key=lambda row: row["intime"]):
        if float(row["los"]) * _HOURS_A_DAY >= HOURS:
            first.setdefault(row["hadm_id"], row)
    return [first[name] for name in sorted(first)]


def _window(
    stay: Mapping[str, str], values: Sequence[tuple[datetime, str, float]], person: Mapping[str, str]
) -> Window:
    start = datetime.fromisoformat(stay["intime"])
    found = [
        RecordValue(ITEMS[item][0], number, ITEMS[item][1], (taken - start).total_seconds() / _SECONDS_AN_HOUR - HOURS)
        for taken, item, number in values
    ]
    age = int(person["anchor_age"]) + start.year - int(person["anchor_year"])
    return read_record(Record(tuple(found), float(age), person["gender"]))


def answered(window: Window) -> bool:
    """Whether a record has as many values as the model needs."""
    return window.value.size >= MIN_VALUES and np.unique(window.variable).size >= MIN_VARIABLES


def report_elsewhere(network: RiskNetwork, data: Path, calibration: Calibration, threshold: float) -> dict[str, Any]:
    """Report the demo's stays where :data:`FOLDER` lies beside the training set; nothing where it does not."""
    folder = data.resolve().parent / FOLDER
    if not folder.is_dir():
        return {}
    every = read_stays_elsewhere(folder)
    stays = [stay for stay in every if answered(stay.window)]
    if not stays:
        raise DataError(f"no stay of {folder} has the values that the model needs")
    probability = calibration.apply(logits_of(network, [stay.window for stay in stays])["whole"].mean(axis=1))
    report = full_report(np.array([stay.died for stay in stays]), probability, threshold)
    return {
        **report,
        "too_few_values": len(every) - len(stays),
        "mean_probability": round(float(probability.mean()), 4),
    }
