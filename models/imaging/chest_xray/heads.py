"""Late fusion: a logistic head for the radiograph, one for the laboratory values, and one over both.

The first of each is the answer; the others are from resampled patients, and their spread is how uncertain it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

Tensor = torch.Tensor

#: Times that the heads were fitted anew on patients drawn with replacement.
RESAMPLES = 100


@dataclass(frozen=True, eq=False)
class Parts:
    """Logits of a batch by each fit, ``[batch, 1 + resamples]``; the first column is the answer.

    Parameters
    ----------
    image, labs
        Of each head alone; not calibrated.
    answer
        Calibrated: of both, or of the image alone where there is no laboratory value.
    """

    image: Tensor
    labs: Tensor
    answer: Tensor


class Heads(nn.Module):
    """Linear heads over image features ``[batch, channel]`` and standardised laboratory values ``[batch, lab]``."""

    image: Tensor
    labs: Tensor
    both: Tensor
    alone: Tensor
    usual: Tensor
    spread: Tensor

    def __init__(self, channels: int, labs: int, resamples: int = RESAMPLES) -> None:
        super().__init__()
        fits = 1 + resamples
        self.register_buffer("image", torch.zeros(fits, channels + 1))
        self.register_buffer("labs", torch.zeros(fits, labs + 1))
        self.register_buffer("both", torch.zeros(fits, 3))
        self.register_buffer("alone", torch.zeros(fits, 2))
        self.register_buffer("usual", torch.zeros(labs))
        self.register_buffer("spread", torch.ones(labs))

    def forward(self, features: Tensor, labs: Tensor, known: Tensor) -> Parts:
        """Logits of a batch.

        Parameters
        ----------
        features
            ``[batch, channel]``.
        labs
            ``[batch, lab]``, 0 where missing.
        known
            ``[batch]``, whether there is any laboratory value.
        """
        image = features @ self.image[:, :-1].T + self.image[:, -1]
        record = labs @ self.labs[:, :-1].T + self.labs[:, -1]
        both = self.both[:, 0] * image + self.both[:, 1] * record + self.both[:, 2]
        alone = self.alone[:, 0] * image + self.alone[:, 1]
        return Parts(image, record, torch.where(known[:, None], both, alone))

    def contributions(self, labs: Tensor) -> Tensor:
        """Change of the answer's log-odds by each value, ``[batch, lab]``, against the training set's usual one."""
        return self.both[0, 1] * self.labs[0, :-1] * labs
