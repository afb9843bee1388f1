"""Records that are none of a patient: how many of them the model warns of, and how many it declines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.labs.networks import RiskNetwork
from models.labs.tensors import tensors_of
from models.labs.variables import VARIABLES
from models.labs.window import Window

#: Records of each kind that are tried, made of as many held-out stays.
TRIED = 200

_LOW = np.array([variable.low for variable in VARIABLES])
_HIGH = np.array([variable.high for variable in VARIABLES])


def with_random_values(window: Window, rng: np.random.Generator) -> Window:
    """Give each measurement any value of its variable's plausible range, all equally likely."""
    low, high = _LOW[window.variable], _HIGH[window.variable]
    return replace(window, value=rng.uniform(low, high))


def mixed(one: Window, other: Window, rng: np.random.Generator) -> Window:
    """Give half of the variables, drawn at random, as another patient has them."""
    foreign = rng.permutation(len(VARIABLES)) < len(VARIABLES) // 2
    own, others = one.only(~foreign[one.variable]), other.only(foreign[other.variable])
    hours = np.concatenate([own.hour, others.hour])
    order = np.argsort(hours, kind="stable")
    return replace(
        one,
        variable=np.concatenate([own.variable, others.variable])[order],
        hour=hours[order],
        value=np.concatenate([own.value, others.value])[order],
    )


def scope_report(
    network: RiskNetwork, windows: Sequence[Window], warned: float, declined: float, seed: int = 0
) -> dict[str, Any]:
    """Count what is warned of and what is declined, of records as they are and of odd ones made of them.

    Parameters
    ----------
    windows
        Of stays that the network was not trained on.
    warned, declined
        Limits of the surprise.
    """
    rng = np.random.default_rng(seed)
    some = windows[: TRIED + 1]
    kinds = {
        "as_they_are": list(windows),
        "random_values": [with_random_values(window, rng) for window in some[:TRIED]],
        "mixed_patients": [mixed(one, other, rng) for one, other in pairwise(some)],
    }
    return {name: _counts(_surprise(network, odd), warned, declined) for name, odd in kinds.items()}


def _surprise(network: RiskNetwork, windows: Sequence[Window]) -> npt.NDArray[np.float64]:
    with torch.inference_mode():
        return np.asarray(network.surprise(tensors_of(windows)).double().numpy())


def _counts(surprise: npt.NDArray[np.float64], warned: float, declined: float) -> dict[str, int]:
    return {
        "n": int(surprise.size),
        "above_the_warning": int((surprise > warned).sum()),
        "declined": int((surprise > declined).sum()),
    }
