"""Training and evaluation of the model ``chest-xray-pneumonia``; see docs/model_chest_xray_pneumonia.md."""

from __future__ import annotations

from models.training.chest_xray_pneumonia.showing import pictures
from models.training.chest_xray_pneumonia.trainer import evaluate, train

__all__ = ["evaluate", "pictures", "train"]
