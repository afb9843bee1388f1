"""The last 48 hours of a record as numbers: events, a grid in time, and summaries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.contracts import Record
from models.labs.variables import VARIABLES, read_value

Floats = npt.NDArray[np.float32]

HOURS = 48.0
#: Length of a step of the grid, in hours.
STEP_HOURS = 2.0
STEPS = int(HOURS / STEP_HOURS)

#: Values of a record that are looked at, the last ones in time; a stay of two days in intensive care has about 500.
MAX_VALUES = 20_000

#: Median age of the stays that the models were trained on, and the age from which these no longer tell ages apart.
USUAL_AGE = 67.0
OLDEST = 90.0

#: What summaries say of each variable, in this order.
SUMMARIES = ("first", "last", "lowest", "highest", "mean", "trend", "there")

_LOGARITHM = np.array([variable.logarithm for variable in VARIABLES])


@dataclass(frozen=True, eq=False)
class Window:
    """Readable values of one patient's 48 hours, in the order of time.

    Parameters
    ----------
    variable
        ``[n]`` index in :data:`models.labs.variables.VARIABLES`.
    hour
        ``[n]`` 0 to 48; 48 is the moment that is asked about.
    value
        ``[n]`` in the variable's unit.
    age_years
        Not a number where it is not known.
    female
        0 or 1, one half where it is not known.
    unread
        Values of variables that the models know, whose unit or number could not be read.
    """

    variable: npt.NDArray[np.int64]
    hour: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]
    age_years: float
    female: float
    unread: int = 0

    def only(self, keep: npt.NDArray[np.bool_]) -> Window:
        """Give the window with some of its values."""
        return Window(self.variable[keep], self.hour[keep], self.value[keep], self.age_years, self.female, self.unread)


def read_record(record: Record) -> Window:
    """Read the values of the 48 hours that end at the moment of the record."""
    inside = [item for item in record.values if -HOURS <= item.hours <= 0.0][-MAX_VALUES:]
    found = [(read_value(item), item.hours + HOURS) for item in inside]
    rows = sorted((hour, *reading) for reading, hour in found if reading is not None)
    hours, variables, values = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    return Window(
        variable=np.array(variables, dtype=np.int64),
        hour=np.array(hours, dtype=np.float64),
        value=np.array(values, dtype=np.float64),
        age_years=float("nan") if record.age_years is None else float(record.age_years),
        female={"F": 1.0, "M": 0.0}.get(record.sex, 0.5),
        unread=len(found) - len(rows),
    )


def scaled(window: Window) -> npt.NDArray[np.float64]:
    """``[n]`` values as models read them: the logarithm of one plus the value where the variable says so."""
    return np.where(_LOGARITHM[window.variable], np.log1p(window.value), window.value)


def statics(window: Window) -> Floats:
    """``[3]``: age in decades from :data:`USUAL_AGE`, sex, and whether the age is missing."""
    missing = not np.isfinite(window.age_years)
    age = 0.0 if missing else (min(window.age_years, OLDEST) - USUAL_AGE) / 10.0
    return np.array([age, window.female - 0.5, float(missing)], dtype=np.float32)


def grid(window: Window) -> tuple[Floats, Floats]:
    """Mean of each variable in steps of two hours.

    Returns
    -------
    mean
        ``[STEPS, variables]`` as in :func:`scaled`, 0 where there is no value.
    mask
        1 where there is a value.
    """
    step = np.minimum((window.hour / STEP_HOURS).astype(np.int64), STEPS - 1)
    flat = step * len(VARIABLES) + window.variable
    size = STEPS * len(VARIABLES)
    counts = np.bincount(flat, minlength=size).reshape(STEPS, -1)
    total = np.bincount(flat, weights=scaled(window), minlength=size).reshape(STEPS, -1)
    return (total / np.maximum(counts, 1)).astype(np.float32), (counts > 0).astype(np.float32)


def summaries(window: Window) -> Floats:
    """:data:`SUMMARIES` of each variable: ``[len(SUMMARIES), variables]``, 0 where there is no value.

    ``trend`` is the last minus the first value; ``there`` is 1 where there is a value. How often a variable was
    measured is left out: it tells how a unit charts as much as how the patient is.
    """
    count, values = len(VARIABLES), scaled(window)
    there = np.bincount(window.variable, minlength=count) > 0
    out = np.zeros((len(SUMMARIES), count))
    out[-1] = there
    if values.size:
        order = np.argsort(window.variable, kind="stable")
        ordered, starts = values[order], np.searchsorted(window.variable[order], np.flatnonzero(there))
        sizes = np.diff(np.append(starts, values.size))
        first, last = ordered[starts], ordered[starts + sizes - 1]
        lowest, highest, total = (_reduce(function, ordered, starts) for function in (np.minimum, np.maximum, np.add))
        out[:-1, there] = [first, last, lowest, highest, total / sizes, last - first]
    return out.astype(np.float32)


def _reduce(function: Any, values: npt.NDArray[np.float64], starts: npt.NDArray[np.int64]) -> Any:
    """Apply a reduction of numpy to each run of ``values``."""
    reduce: Callable[..., Any] = function.reduceat
    return reduce(values, starts)
