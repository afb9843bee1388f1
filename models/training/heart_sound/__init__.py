"""Training and evaluation of the heart sound model."""

from __future__ import annotations

from models.training.heart_sound.training import evaluate, train

__all__ = ["evaluate", "train"]
