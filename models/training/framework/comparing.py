"""Comparing several ways to answer one question by cross-validation, within the training part.

What is chosen among them is chosen here; the held-out part is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from rich.progress import track

Case = TypeVar("Case")
Answer = TypeVar("Answer")
Array = npt.NDArray[Any]

Round = tuple[Sequence[Case], Sequence[Case]]
"""Cases to fit on, and cases to answer; such as :func:`~models.training.framework.division.folds` deals."""

Way = Callable[[Sequence[Case], Sequence[Case]], Array]
"""Fits on the first cases and gives an answer for each of the second, ``[n, ...]``."""


def out_of_fold(rounds: Sequence[Round[Case]], way: Way[Case]) -> Array:
    """Answers of all cases in the order of :func:`judged_cases`, each by a fit that had not seen it, ``[n, ...]``."""
    return np.concatenate([way(fit_on, judge_on) for fit_on, judge_on in rounds])


def judged_cases(rounds: Sequence[Round[Case]]) -> list[Case]:
    """All cases, fold after fold."""
    return [case for _, judge_on in rounds for case in judge_on]


def each(ways: Mapping[str, Callable[[], Answer]], *, progress: bool) -> dict[str, Answer]:
    """Answer of each way by its name, one after the other, with a progress bar where ``progress`` is true."""
    return {name: way() for name, way in track(ways.items(), "ways", total=len(ways), disable=not progress)}
