"""The networks of labs-risk: an auto-encoder of gappy time series, a recurrent classifier on it, and a linear part.

Every part standardises what it reads by numbers that are kept as buffers with its weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from models.labs.variables import VARIABLES
from models.labs.window import HOURS, STEP_HOURS, SUMMARIES

Tensor = torch.Tensor
COUNT = len(VARIABLES)

#: Standard deviations beyond which a value says no more.
LARGEST_Z = 4.0

#: Standard deviations from where the linear part gives a value an additional slope, to either side: many values are
#: worse both when low and when high.
KNEE = 0.7
STATICS = 3

#: Summaries that are values (not the trend, not whether there is one).
LEVELS = len(SUMMARIES) - 2
LINEAR_INPUTS = COUNT * (3 * LEVELS + 2) + STATICS


@dataclass(frozen=True, slots=True)
class RiskShape:
    """Sizes: of the auto-encoder's states, of the classifier's state, and how many members the ensemble has."""

    code: int = 64
    state: int = 48
    members: int = 5


SHAPE = RiskShape()


def since_last(mask: Tensor) -> Tensor:
    """Hours since the last step with a value, as a share of 48, 1 where there was none; ``[n, step, variable]``.

    Masks and such intervals tell a recurrent network what is missing (Che et al., Sci Rep 2018;8:6085).
    """
    steps = torch.arange(mask.shape[1], device=mask.device, dtype=mask.dtype)[None, :, None]
    last = torch.where(mask > 0, steps, torch.full_like(mask, -HOURS)).cummax(dim=1).values
    return ((steps - last) * (STEP_HOURS / HOURS)).clamp(max=1.0)


class AutoEncoder(torch.nn.Module):
    """Reads a grid with gaps in both directions of time and gives every cell's value, of hidden ones too."""

    centre: Tensor
    spread: Tensor

    def __init__(self, shape: RiskShape) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(COUNT))
        self.register_buffer("spread", torch.ones(COUNT))
        self.project = torch.nn.Linear(3 * COUNT + STATICS, shape.code)
        self.recur = torch.nn.GRU(shape.code, shape.code // 2, batch_first=True, bidirectional=True)
        self.restore = torch.nn.Linear(shape.code, COUNT)

    def standardised(self, mean: Tensor, mask: Tensor) -> Tensor:
        """Values in standard deviations from the training set's median, 0 where there is none."""
        known: Tensor = ((mean - self.centre) / self.spread).clamp(-LARGEST_Z, LARGEST_Z) * mask
        return known

    def forward(self, mean: Tensor, mask: Tensor, statics: Tensor) -> tuple[Tensor, Tensor]:
        """Give codes ``[n, step, code]`` and reconstructed standardised values ``[n, step, variable]``."""
        known = statics[:, None, :].expand(-1, mean.shape[1], -1)
        inputs = torch.cat([self.standardised(mean, mask), mask, since_last(mask), known], dim=2)
        codes, _ = self.recur(torch.relu(self.project(inputs)))
        return codes, self.restore(codes)


class Classifier(torch.nn.Module):
    """A recurrent network over the auto-encoder's codes, and a weight of each step in what it says."""

    def __init__(self, shape: RiskShape) -> None:
        super().__init__()
        self.dropout = torch.nn.Dropout(0.3)
        self.recur = torch.nn.GRU(shape.code, shape.state, batch_first=True)
        self.attend = torch.nn.Linear(shape.state, 1)
        self.answer = torch.nn.Linear(2 * shape.state, 1)

    def forward(self, codes: Tensor) -> Tensor:
        """Give a logit for each case."""
        states, _ = self.recur(self.dropout(codes))
        weights = torch.softmax(self.attend(states), dim=1)
        pooled = torch.cat([states[:, -1], (weights * states).sum(dim=1)], dim=1)
        logit: Tensor = self.answer(self.dropout(pooled)).squeeze(1)
        return logit


class Summarist(torch.nn.Module):
    """Logistic regression on the summaries, each level with an additional slope beyond :data:`KNEE` to either side."""

    centre: Tensor
    spread: Tensor
    trend_spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(LEVELS, COUNT))
        self.register_buffer("spread", torch.ones(LEVELS, COUNT))
        self.register_buffer("trend_spread", torch.ones(COUNT))
        self.linear = torch.nn.Linear(LINEAR_INPUTS, 1)

    def features(self, summaries: Tensor, statics: Tensor) -> Tensor:
        """``[n, LINEAR_INPUTS]``."""
        there = summaries[:, -1]
        levels = ((summaries[:, :LEVELS] - self.centre) / self.spread).clamp(-LARGEST_Z, LARGEST_Z) * there[:, None]
        trend = (summaries[:, LEVELS] / self.trend_spread).clamp(-LARGEST_Z, LARGEST_Z)
        bent = [levels, torch.relu(levels - KNEE), torch.relu(-levels - KNEE)]
        return torch.cat([*(part.flatten(1) for part in bent), trend, there, statics], dim=1)

    def forward(self, summaries: Tensor, statics: Tensor) -> Tensor:
        """Give a logit for each case."""
        logit: Tensor = self.linear(self.features(summaries, statics)).squeeze(1)
        return logit


class Member(torch.nn.Module):
    """One network of the ensemble; its logit is the mean of the recurrent and the linear part's."""

    def __init__(self, shape: RiskShape) -> None:
        super().__init__()
        self.encoder = AutoEncoder(shape)
        self.classifier = Classifier(shape)
        self.summarist = Summarist()

    def sequence(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give ``logit`` of the recurrent part and ``reconstruction``."""
        codes, restored = self.encoder(batch["mean"], batch["mask"], batch["statics"])
        return {"logit": self.classifier(codes), "reconstruction": restored}

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Give a logit for each case."""
        linear: Tensor = self.summarist(batch["summaries"], batch["statics"])
        return (self.sequence(batch)["logit"] + linear) / 2

    def surprise(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Mean squared error, in squared standard deviations, of values that are reconstructed from the others.

        Every second step is hidden and reconstructed, then the others; ``[n]``, 0 without a value.
        """
        mean, mask = batch["mean"], batch["mask"]
        turn = (torch.arange(mask.shape[1], device=mask.device) % 2).to(mask.dtype)[None, :, None]
        true = self.encoder.standardised(mean, mask)
        error = torch.zeros_like(true)
        for hidden in (turn, 1 - turn):
            _, restored = self.encoder(mean * (1 - hidden), mask * (1 - hidden), batch["statics"])
            error = error + (restored - true) ** 2 * mask * hidden
        return error.sum(dim=(1, 2)) / mask.sum(dim=(1, 2)).clamp(min=1)


class RiskNetwork(torch.nn.Module):
    """All members."""

    def __init__(self, shape: RiskShape | None = None) -> None:
        super().__init__()
        sizes = shape or SHAPE
        self.members = torch.nn.ModuleList(Member(sizes) for _ in range(sizes.members))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Give the logit of each member for each case: ``[n, members]``."""
        return torch.stack([member(batch) for member in self.each()], dim=1)

    def each(self) -> list[Member]:
        """The members in their order."""
        return [member for member in self.members if isinstance(member, Member)]

    def surprise(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Mean over members of :meth:`Member.surprise`."""
        return torch.stack([member.surprise(batch) for member in self.each()]).mean(dim=0)
