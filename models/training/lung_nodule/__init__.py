"""Training and evaluation of the lung nodule model; torch is loaded when one of them is called.

The generated thorax (:mod:`models.training.lung_nodule.thorax`) is of use without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def train(
    data: Path, out: Path, *, seed: int = 0, epochs: int | None = None, device: str = "auto", progress: bool = True
) -> dict[str, Any]:
    """Train; see :func:`models.training.lung_nodule.trainer.train`."""
    from models.training.lung_nodule import trainer

    return trainer.train(data, out, seed=seed, epochs=epochs, device=device, progress=progress)


def evaluate(
    data: Path, *, device: str = "auto", weights: Path | None = None, progress: bool = False
) -> dict[str, Any]:
    """Report the held-out part; see :func:`models.training.lung_nodule.trainer.evaluate`."""
    from models.training.lung_nodule import trainer

    return trainer.evaluate(data, device=device, weights=weights, progress=progress)


def pictures(data: Path, out: Path, *, device: str = "auto", weights: Path | None = None) -> None:
    """Draw examples; see :func:`models.training.lung_nodule.showing.pictures`."""
    from models.training.lung_nodule import showing

    showing.pictures(data, out, device=device, weights=weights)
