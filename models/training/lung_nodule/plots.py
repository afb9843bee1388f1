"""Pictures of the held-out figures for the model's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from models.training.framework import plots
from models.training.lung_nodule.froc import ScanScore, curve
from models.training.lung_nodule.measured import Examined


def draw(out: Path, generated: Sequence[ScanScore], real: Sequence[ScanScore], sized: Sequence[Examined]) -> None:
    """Draw ``froc.png`` and ``sizes.png``."""
    with plots.figure(out / "froc.png") as figure:
        axes = figure.add_subplot(xlabel="false positives", ylabel="sensitivity", ylim=(0, 1))
        axes.plot(*curve(generated), label="generated, per scan")
        axes.plot(*curve(real), label="real left lung, per lung")
        axes.legend(fontsize=8)
    items = [item for scan in sized for item in scan.sized.values()]
    pairs = ([item.truth.long_mm for item in items], [item.long_mm[0] for item in items])
    plots.agreement(out / "sizes.png", {"long axis": pairs}, "mm")
