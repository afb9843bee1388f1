from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contracts import Record, RecordValue
from models.labs.variables import VARIABLES
from models.labs.window import MAX_VALUES, STEPS, SUMMARIES, grid, read_record, statics, summaries

CREATININE = next(i for i, variable in enumerate(VARIABLES) if variable.key == "creatinine")
SODIUM = next(i for i, variable in enumerate(VARIABLES) if variable.key == "sodium")
VALUES = st.lists(
    st.tuples(st.sampled_from(["2160-0", "2951-2", "8867-4"]), st.floats(0.5, 180), st.floats(-60, 5)), max_size=40
)


def record(rows: list[tuple[str, float, float]]) -> Record:
    units = {"2160-0": "mg/dL", "2951-2": "mmol/L", "8867-4": "/min"}
    return Record(tuple(RecordValue(code, number, units[code], hours) for code, number, hours in rows))


def test_the_window_is_the_two_days_before_the_study() -> None:
    window = read_record(record([("2951-2", 130, -50), ("2951-2", 135, -48), ("2951-2", 140, 0), ("2951-2", 150, 1)]))

    assert window.value.tolist() == [135, 140]
    assert window.hour.tolist() == [0, 48]


def test_values_are_read_in_the_order_of_time() -> None:
    window = read_record(record([("2951-2", 140, -2), ("2160-0", 1, -30), ("2951-2", 135, -40)]))

    assert window.hour.tolist() == [8, 18, 46]


def test_what_cannot_be_read_is_counted() -> None:
    odd = RecordValue("2160-0", 88.4, "mg/dL", -1)

    window = read_record(Record((*record([("2951-2", 140, -2)]).values, odd)))

    assert window.value.size == 1
    assert window.unread == 1


def test_no_more_values_than_the_bound_are_read() -> None:
    window = read_record(record([("2951-2", 140, -2)] * (MAX_VALUES + 50)))

    assert window.value.size == MAX_VALUES


def test_a_step_has_the_mean_of_its_values() -> None:
    mean, mask = grid(read_record(record([("2951-2", 130, -47.9), ("2951-2", 140, -46.1), ("2951-2", 150, 0)])))

    assert mean[0, SODIUM] == 135
    assert mean[STEPS - 1, SODIUM] == 150
    assert mask.sum() == 2


def test_summaries_are_first_last_lowest_highest_mean_and_trend() -> None:
    found = summaries(read_record(record([("2951-2", 130, -40), ("2951-2", 126, -30), ("2951-2", 140, -1)])))

    assert found[:, SODIUM].tolist() == pytest.approx([130, 140, 126, 140, 132, 10, 1])
    assert not found[:, CREATININE].any()


@given(VALUES)
def test_a_grid_and_summaries_agree_and_are_finite(rows: list[tuple[str, float, float]]) -> None:
    window = read_record(record(rows))

    mean, mask = grid(window)
    found = summaries(window)

    assert np.isfinite(mean).all()
    assert np.isfinite(found).all()
    assert found.shape == (len(SUMMARIES), len(VARIABLES))
    assert ((mask.sum(axis=0) > 0) == (found[-1] > 0)).all()
    lowest, highest = found[2], found[3]
    assert (np.where(mask > 0, mean, lowest) >= lowest - 1e-4).all()
    assert (np.where(mask > 0, mean, highest) <= highest + 1e-4).all()


def test_an_unknown_age_is_the_usual_one_and_is_said_to_be_missing() -> None:
    assert statics(read_record(Record((), None, ""))).tolist() == [0, 0, 1]
    assert statics(read_record(Record((), 97.0, "F"))).tolist() == pytest.approx([2.3, 0.5, 0])
