"""Training and evaluation of the heart sound model."""

from __future__ import annotations

from models.training.heart_sound.comparing import compare
from models.training.heart_sound.showing import pictures
from models.training.heart_sound.training import evaluate, train

__all__ = ["compare", "evaluate", "pictures", "train"]
