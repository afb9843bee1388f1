"""What the generator of traffic reads: a hospital's tables as MIMIC-IV has them (CSV, gzip), streamed.

Tables and columns: Johnson A et al., MIMIC-IV Clinical Database Demo 2.2, PhysioNet 2023,
https://doi.org/10.13026/dp1f-ex47. Its dates are shifted far into the future, for each patient by another amount; here
they are shifted back, by whole weeks, to the years that ``anchor_year_group`` names.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import random
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from node.errors import InputError

DAYS_A_YEAR = 365.2425
STORED_AFTER = dt.timedelta(hours=1)
"""How long after it was taken a specimen's values are stored, where the table does not say so."""


@dataclass(frozen=True, slots=True)
class Value:
    """One laboratory value; ``number`` is "" where ``text`` is none."""

    item: str
    label: str
    text: str
    number: str
    unit: str
    low: str
    high: str
    abnormal: bool


@dataclass(frozen=True, slots=True)
class Specimen:
    """The values of one specimen; ``visit`` is "" for those of outpatients."""

    number: str
    visit: str
    taken: dt.datetime
    stored: dt.datetime
    urgent: bool
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Transfer:
    """A patient comes to a ward."""

    visit: str
    ward: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class Stay:
    """An admission with its transfers and the diagnoses that were coded: (code, ICD version, title) by rank."""

    number: str
    kind: str
    admitted: dt.datetime
    discharged: dt.datetime
    transfers: tuple[Transfer, ...]
    diagnoses: tuple[tuple[str, str, str], ...]

    @property
    def emergency(self) -> bool:
        """Whether the patient came through the emergency department."""
        return "EMER" in self.kind or "EU " in self.kind


@dataclass(frozen=True, slots=True)
class Subject:
    """A patient with all that the tables say; times are UTC."""

    number: str
    sex: str
    birth_year: int
    stays: tuple[Stay, ...]
    specimens: tuple[Specimen, ...]


Row = Mapping[str, str]


def read(folder: Path, patients: int, seed: int, specimens: int = 0) -> list[Subject]:
    """Read some patients, by number.

    Parameters
    ----------
    folder
        The set's folder, which has ``hosp/patients.csv.gz`` and the others.
    patients
        How many; which ones is chosen by ``seed``.
    specimens
        Most specimens of a patient, the first ones; 0 for all.

    Raises
    ------
    InputError
        A table is missing, or is none of this kind.
    """
    people = {row["subject_id"]: row for row in _rows(folder, "patients")}
    if not 0 < patients <= len(people):
        raise InputError(f"{len(people)} patients are there, {patients} were asked for")
    chosen = sorted(random.Random(seed).sample(sorted(people), patients))  # noqa: S311  not a secret
    shifts = {number: _shift(people[number]) for number in chosen}
    stays, taken = _stays(folder, shifts), _specimens(folder, shifts, specimens)
    return [
        Subject(
            number,
            people[number]["gender"],
            int(people[number]["anchor_year"]) + shifts[number].years - int(people[number]["anchor_age"]),
            tuple(stays[number]),
            tuple(taken[number]),
        )
        for number in chosen
    ]


@dataclass(frozen=True, slots=True)
class _Shift:
    """By how much a patient's times are moved."""

    years: int
    time: dt.timedelta

    def at(self, text: str) -> dt.datetime:
        return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC) + self.time


def _shift(row: Row) -> _Shift:
    first, last = (int(year) for year in row["anchor_year_group"].split("-"))
    years = (first + last) // 2 - int(row["anchor_year"])
    return _Shift(years, dt.timedelta(weeks=round(years * DAYS_A_YEAR / 7)))


def _stays(folder: Path, shifts: Mapping[str, _Shift]) -> Mapping[str, list[Stay]]:
    transfers: dict[str, list[Transfer]] = defaultdict(list)
    for row in _of(folder, "transfers", shifts):
        if row["careunit"] and row["hadm_id"]:
            at = shifts[row["subject_id"]].at(row["intime"])
            transfers[row["hadm_id"]].append(Transfer(row["hadm_id"], row["careunit"], at))
    titles = {(row["icd_code"], row["icd_version"]): row["long_title"] for row in _rows(folder, "d_icd_diagnoses")}
    coded: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for row in _of(folder, "diagnoses_icd", shifts):
        coded[row["hadm_id"]].append((int(row["seq_num"]), row["icd_code"], row["icd_version"]))
    stays: dict[str, list[Stay]] = defaultdict(list)
    for row in _of(folder, "admissions", shifts):
        shift, number = shifts[row["subject_id"]], row["hadm_id"]
        stay = Stay(
            number,
            row["admission_type"],
            shift.at(row["admittime"]),
            shift.at(row["dischtime"]),
            tuple(sorted(transfers[number], key=lambda transfer: transfer.at)),
            tuple((code, version, titles.get((code, version), "")) for _, code, version in sorted(coded[number])),
        )
        stays[row["subject_id"]].append(stay)
    for found in stays.values():
        found.sort(key=lambda stay: (stay.admitted, stay.number))
    return stays


def _specimens(folder: Path, shifts: Mapping[str, _Shift], most: int) -> Mapping[str, list[Specimen]]:
    labels = {row["itemid"]: row["label"] for row in _rows(folder, "d_labitems")}
    rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in _of(folder, "labevents", shifts):
        if row["value"] not in ("", "___"):
            rows[row["subject_id"], row["specimen_id"]].append(row)
    found: dict[str, list[Specimen]] = defaultdict(list)
    for (subject, number), events in rows.items():
        found[subject].append(_specimen(number, events, labels, shifts[subject]))
    for subject, specimens in found.items():
        specimens.sort(key=lambda specimen: (specimen.stored, specimen.number))
        found[subject] = specimens[:most] if most else specimens
    return found


def _specimen(number: str, events: list[Row], labels: Mapping[str, str], shift: _Shift) -> Specimen:
    events.sort(key=lambda row: int(row["labevent_id"]))
    taken = min(shift.at(row["charttime"]) for row in events)
    stored = [shift.at(row["storetime"]) for row in events if row["storetime"]]
    return Specimen(
        number,
        events[0]["hadm_id"],
        taken,
        max([*stored, taken + dt.timedelta(minutes=1)]) if stored else taken + STORED_AFTER,
        any(row["priority"] == "STAT" for row in events),
        tuple(_value(row, labels) for row in events),
    )


def _value(row: Row, labels: Mapping[str, str]) -> Value:
    text = row["value"].strip()
    return Value(
        item=row["itemid"],
        label=labels.get(row["itemid"], row["itemid"]),
        text=text,
        number=row["valuenum"] if _plain(text) else "",
        unit=row["valueuom"].strip(),
        low=row["ref_range_lower"],
        high=row["ref_range_upper"],
        abnormal=row["flag"] == "abnormal",
    )


def _plain(text: str) -> bool:
    """Whether a value is a number, and not a bound (``<0.01``) or words."""
    return text.replace(".", "", 1).removeprefix("-").isascii() and text.replace(".", "", 1).removeprefix("-").isdigit()


def _of(folder: Path, table: str, subjects: Collection[str]) -> Iterator[Row]:
    return (row for row in _rows(folder, table) if row["subject_id"] in subjects)


def _rows(folder: Path, table: str) -> Iterator[Row]:
    path = folder / "hosp" / f"{table}.csv.gz"
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
            yield from csv.DictReader(stream)
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise InputError(f"hosp/{table}.csv.gz cannot be read in the folder of the data: {type(exc).__name__}") from exc
