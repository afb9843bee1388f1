"""What moved the answer of labs-risk: each variable in turn is put to its usual value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from models.codes import NO_UNITS
from models.contracts import Code, Contribution
from models.labs.networks import COUNT, LEVELS, Member, RiskNetwork
from models.labs.terms import AGE, YEARS
from models.labs.variables import VARIABLES, Variable
from models.labs.window import Window

Tensor = torch.Tensor

#: Most contributions that are given, the strongest first.
MOST = 10

#: A smaller change of the log-odds moves a probability by less than a hundredth.
LEAST = 0.04


def _usual(member: Member, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of one case, of which copy i has variable i at its usual value, and the last one the age."""
    copies = COUNT + 1
    mean, mask, statics, summaries = (
        batch[name].expand(copies, *batch[name].shape[1:]).clone() for name in ("mean", "mask", "statics", "summaries")
    )
    for number in range(COUNT):
        mean[number, :, number] = member.encoder.centre[number] * mask[number, :, number]
        there = summaries[number, -1, number]
        summaries[number, :LEVELS, number] = member.summarist.centre[:, number] * there
        summaries[number, LEVELS, number] = 0.0
    statics[COUNT, 0] = 0.0
    return {"mean": mean, "mask": mask, "statics": statics, "summaries": summaries}


def changes(network: RiskNetwork, batch: Mapping[str, Tensor]) -> Tensor:
    """Change of the mean logit by each variable and by the age, against their usual values.

    What was measured and when stays as it is, so a variable that was not measured changes nothing. Together they need
    not add up to the logit: what two variables say jointly is in both or in neither.

    Parameters
    ----------
    batch
        One case.

    Returns
    -------
    Tensor
        ``[variables + 1]``.
    """
    rows = [member(batch) - member(_usual(member, batch)) for member in network.each()]
    return torch.stack(rows).mean(dim=0)


def contributions(window: Window, weights: Sequence[float]) -> tuple[Contribution, ...]:
    """Name what moved the answer, with the last value of each variable.

    Parameters
    ----------
    weights
        Calibrated :func:`changes`.
    """
    found = []
    for number, variable in enumerate(VARIABLES):
        values = window.value[window.variable == number]
        if values.size and abs(weights[number]) >= LEAST:
            last, unit = float(values[-1]), _unit(variable)
            shown = f"{last:.4g}" if unit is NO_UNITS else f"{last:.4g} {unit.value}"
            text = f"{variable.name} ({values.size} values, last {shown}): {_word(weights[number])}"
            found.append(Contribution(variable.code, round(float(weights[number]), 4), last, unit, text))
    if abs(weights[COUNT]) >= LEAST:
        text = f"Age: {_word(weights[COUNT])}"
        found.append(Contribution(AGE, round(float(weights[COUNT]), 4), window.age_years, YEARS, text))
    return tuple(sorted(found, key=lambda item: -abs(item.weight))[:MOST])


def _unit(variable: Variable) -> Code:
    return NO_UNITS if variable.unit == NO_UNITS.value else Code(variable.unit, "UCUM", variable.unit)


def _word(weight: float) -> str:
    return "raises the risk" if weight > 0 else "lowers the risk"
