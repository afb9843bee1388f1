"""Small tables in the form of MIMIC-IV about people who do not exist, written for a test."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

COLUMNS = {
    "patients": "subject_id gender anchor_age anchor_year anchor_year_group",
    "admissions": "subject_id hadm_id admittime dischtime admission_type",
    "transfers": "subject_id hadm_id transfer_id eventtype careunit intime",
    "labevents": "labevent_id subject_id hadm_id specimen_id itemid charttime storetime value valuenum valueuom "
    "ref_range_lower ref_range_upper flag priority",
    "d_labitems": "itemid label",
    "diagnoses_icd": "subject_id hadm_id seq_num icd_code icd_version",
    "d_icd_diagnoses": "icd_code icd_version long_title",
}
BEGIN = dt.datetime(2150, 3, 1, 8)
ITEMS = (("50912", "Creatinine", "mg/dL", "0.5", "1.2"), ("50971", "Potassium", "mEq/L", "3.3", "5.1"))


def write(folder: Path, people: int = 4, specimens: int = 6) -> Path:
    """Write the tables of some people, two stays each; returns the folder."""
    rows: dict[str, list[Sequence[object]]] = {name: [] for name in COLUMNS}
    for number in range(people):
        subject = f"9000{number}"
        rows["patients"].append((subject, "FM"[number % 2], 60 + number, 2150, "2011 - 2013"))
        for stay in range(2):
            visit, at = f"2{number}{stay}", BEGIN + dt.timedelta(days=40 * stay)
            rows["admissions"].append((subject, visit, at, at + dt.timedelta(days=5), "EW EMER."))
            for hour, ward in enumerate(("Emergency", "Medicine")):
                moved = at + dt.timedelta(hours=hour)
                rows["transfers"].append((subject, visit, f"{visit}{hour}", "admit", ward, moved))
            for rank, code in enumerate(("4019", "42731"), 1):
                rows["diagnoses_icd"].append((subject, visit, rank, code, 9))
        for specimen in range(specimens):
            _specimen(rows, number * 1000 + specimen, subject, BEGIN + dt.timedelta(hours=specimen))
    rows["d_labitems"] += [(item, label) for item, label, *_ in ITEMS] + [("51100", "Colour"), ("51101", "Troponin")]
    rows["d_icd_diagnoses"] += [("4019", 9, "Hypertension"), ("42731", 9, "Atrial fibrillation")]
    _save(folder, rows)
    return folder


def _specimen(rows: Mapping[str, list[Sequence[object]]], number: int, subject: str, at: dt.datetime) -> None:
    stored = at + dt.timedelta(minutes=40)
    values = [(item, "9.5", "9.5", unit, low, high, "abnormal") for item, _, unit, low, high in ITEMS]
    values += [("51100", "Yellow", "", "", "", "", ""), ("51101", "<0.01", "", "ng/mL", "0", "0.1", "")]
    values += [("51100", "___", "", "", "", "", "")]
    for place, (item, value, numeric, unit, low, high, flag) in enumerate(values):
        event = (number * 10 + place, subject, "", number, item, at, stored, value, numeric, unit, low, high, flag)
        rows["labevents"].append((*event, "ROUTINE"))


def _save(folder: Path, rows: Mapping[str, list[Sequence[object]]]) -> None:
    (folder / "hosp").mkdir(parents=True)
    for name, columns in COLUMNS.items():
        with gzip.open(folder / "hosp" / f"{name}.csv.gz", "wt", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(columns.split())
            writer.writerows(rows[name])
