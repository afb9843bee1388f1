"""Training and evaluation of the rhythm model."""

from __future__ import annotations

from models.training.ecg_af.comparing import compare
from models.training.ecg_af.showing import pictures
from models.training.ecg_af.training import evaluate, train

__all__ = ["compare", "evaluate", "pictures", "train"]
