"""Training and evaluation of the rhythm model."""

from __future__ import annotations

from models.training.ecg_af.training import evaluate, train

__all__ = ["evaluate", "train"]
