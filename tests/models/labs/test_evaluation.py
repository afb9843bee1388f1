"""What an evaluation says beyond the held-out part: other folds, odd records, another decade."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.contracts import RecordValue
from models.labs.variables import VARIABLES, by_code, read_value
from models.labs.window import Window
from models.training import labs_risk
from models.training.framework.data import DataError
from models.training.labs_risk.elsewhere import FOLDER, ITEMS, answered, read_stays_elsewhere
from models.training.labs_risk.oddities import mixed, with_random_values

Trained = tuple[Path, Path, dict[str, Any]]


def window(hours: list[float], value: float, variables: list[int] | None = None) -> Window:
    chosen = variables or list(range(len(VARIABLES)))
    rows = sorted((hour, variable) for hour in hours for variable in chosen)
    return Window(
        variable=np.array([variable for _, variable in rows]),
        hour=np.array([hour for hour, _ in rows]),
        value=np.full(len(rows), value),
        age_years=60.0,
        female=1.0,
    )


def write(folder: Path, name: str, rows: list[dict[str, object]]) -> None:
    path = folder / f"{name}.csv.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_demo(folder: Path) -> None:
    """Two patients: one dies after a long stay, one has a short stay, then a long one with few values."""
    write(folder, "hosp/patients", [
        {"subject_id": "1", "gender": "F", "anchor_age": "60", "anchor_year": "2100"},
        {"subject_id": "2", "gender": "M", "anchor_age": "50", "anchor_year": "2110"},
    ])  # fmt: skip
    write(folder, "hosp/admissions", [
        {"hadm_id": "10", "hospital_expire_flag": "1"}, {"hadm_id": "20", "hospital_expire_flag": "0"}
    ])  # fmt: skip
    write(folder, "icu/icustays", [
        {"subject_id": "1", "hadm_id": "10", "stay_id": "100", "intime": "2102-01-01 10:00:00", "los": "3.5"},
        {"subject_id": "2", "hadm_id": "20", "stay_id": "200", "intime": "2110-01-01 10:00:00", "los": "1.9"},
        {"subject_id": "2", "hadm_id": "20", "stay_id": "201", "intime": "2110-01-09 10:00:00", "los": "2.0"},
        {"subject_id": "2", "hadm_id": "20", "stay_id": "202", "intime": "2110-01-19 10:00:00", "los": "5.0"},
    ])  # fmt: skip
    items = {"50912": 1.2, "50983": 140, "50971": 4, "51006": 30, "51221": 30, "51301": 9, "50931": 120}
    rows: list[dict[str, object]] = [
        {"subject_id": "1", "itemid": item, "charttime": f"2102-01-0{day} 12:00:00", "valuenum": str(value)}
        for item, value in items.items()
        for day in (1, 2, 4)
    ]
    rows += [
        {"subject_id": "2", "itemid": "50912", "charttime": "2110-01-09 11:00:00", "valuenum": "1.5"},
        {"subject_id": "2", "itemid": "50912", "charttime": "2110-01-09 12:00:00", "valuenum": ""},
        {"subject_id": "2", "itemid": "99999", "charttime": "2110-01-09 12:00:00", "valuenum": "7"},
    ]
    write(folder, "hosp/labevents", rows)


def test_a_mix_of_two_patients_has_half_of_the_variables_of_each_in_the_order_of_time() -> None:
    one, other = window([0.0, 40.0], 1.0), window([10.0, 20.0], 2.0)

    found = mixed(one, other, np.random.default_rng(0))

    kinds = {value: set(found.variable[found.value == value].tolist()) for value in (1.0, 2.0)}
    assert not kinds[1.0] & kinds[2.0]
    assert len(kinds[1.0]) == len(kinds[2.0]) == len(VARIABLES) // 2
    assert (np.diff(found.hour) >= 0).all()


def test_random_values_stay_within_what_is_plausible_and_where_they_were_measured() -> None:
    one = window([0.0, 5.0], 1.0)

    found = with_random_values(one, np.random.default_rng(1))

    low, high = (np.array([getattr(VARIABLES[i], side) for i in found.variable]) for side in ("low", "high"))
    assert (found.value >= low).all()
    assert (found.value <= high).all()
    assert np.array_equal(found.hour, one.hour)
    assert len(set(found.value.tolist())) == found.value.size


def test_an_evaluation_says_what_members_say_of_stays_they_had_not_seen_and_of_odd_records(trained: Trained) -> None:
    data, out, report = trained

    again = labs_risk.evaluate(data, weights=out)

    assert again["validation"] == report["validation"]
    assert again["elsewhere"] == {}
    assert again["scope"].keys() == {"as_they_are", "random_values", "mixed_patients"}
    assert again["scope"]["as_they_are"]["n"] == 16
    assert again["scope"]["mixed_patients"]["n"] == 15
    for counts in again["scope"].values():
        assert 0 <= counts["declined"] <= counts["above_the_warning"] <= counts["n"]
    json.dumps(again, allow_nan=False)


def test_the_first_long_stay_of_each_admission_is_read_with_its_first_two_days(tmp_path: Path) -> None:
    write_demo(tmp_path)

    first, second = read_stays_elsewhere(tmp_path)

    assert (first.case, first.died, second.case, second.died) == ("100", True, "201", False)
    assert first.window.age_years == 62
    assert set(first.window.hour.tolist()) == {2.0, 26.0}
    assert second.window.value.tolist() == [1.5]
    assert answered(first.window)
    assert not answered(second.window)


def test_a_stay_elsewhere_is_reported_where_its_folder_lies_beside_the_data(trained: Trained, tmp_path: Path) -> None:
    shutil.copytree(trained[0], tmp_path / "stays")
    write_demo(tmp_path / FOLDER)

    found = labs_risk.evaluate(tmp_path / "stays", weights=trained[1])["elsewhere"]

    assert (found["n"], found["positives"], found["too_few_values"]) == (1, 1, 1)
    assert 0 < found["mean_probability"] < 1
    assert found["auc"]["value"] is None


def test_a_demo_without_one_of_its_files_is_refused(tmp_path: Path) -> None:
    write_demo(tmp_path)
    (tmp_path / "hosp" / "labevents.csv.gz").unlink()

    with pytest.raises(DataError, match="labevents"):
        read_stays_elsewhere(tmp_path)


def test_every_item_that_is_read_is_a_variable_in_a_unit_that_is_known() -> None:
    for code, unit in ITEMS.values():
        variable = VARIABLES[by_code()[code]]
        found = read_value(RecordValue(code, (variable.low + variable.high) / 2, unit, -1.0))
        assert found is not None


@pytest.mark.data
def test_the_labels_of_the_items_are_those_of_the_demo(real_data: Callable[[str], Path]) -> None:
    path = real_data(FOLDER) / "hosp" / "d_labitems.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        known = {row["itemid"]: row for row in csv.DictReader(file)}

    assert all(known[item]["fluid"] == "Blood" for item in ITEMS)
    assert known["50912"]["label"] == "Creatinine"
