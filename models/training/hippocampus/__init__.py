"""Training and evaluation of the model ``hippocampus``; see docs/models.md."""

from __future__ import annotations

from models.training.hippocampus.plots import pictures
from models.training.hippocampus.trainer import evaluate, train

__all__ = ["evaluate", "pictures", "train"]
