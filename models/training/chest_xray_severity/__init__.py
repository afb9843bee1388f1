"""Training and evaluation of the model ``chest-xray-severity``; see docs/model_chest_xray_severity.md."""

from __future__ import annotations

from models.training.chest_xray_severity.comparing import compare
from models.training.chest_xray_severity.showing import pictures
from models.training.chest_xray_severity.trainer import evaluate, train

__all__ = ["compare", "evaluate", "pictures", "train"]
