"""Pictures of the held-out figures for the model's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from models.training.framework.fit import TrainingError
from models.training.lung_nodule.froc import ScanScore, curve
from models.training.lung_nodule.measured import Examined

_SIZE_INCHES = (3.8, 3.4)
_DPI = 100


def draw(out: Path, generated: Sequence[ScanScore], real: Sequence[ScanScore], sized: Sequence[Examined]) -> None:
    """Draw ``froc.png`` and ``sizes.png``; matplotlib is loaded here."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise TrainingError("plots need matplotlib: pip install 'overread[train]'") from error
    pairs = [(item.truth.long_mm, item.long_mm[0]) for scan in sized for item in scan.sized.values()]
    for name in ("froc.png", "sizes.png"):
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        if name == "froc.png":
            axes.plot(*curve(generated), label="generated, per scan")
            axes.plot(*curve(real), label="real left lung, per lung")
            axes.set(xlabel="false positives", ylabel="sensitivity", ylim=(0, 1))
            axes.legend(fontsize=8)
        else:
            axes.plot([0, 40], [0, 40], color="grey", linewidth=0.8)
            axes.scatter([true for true, _ in pairs], [found for _, found in pairs], s=8)
            axes.set(xlabel="true long axis (mm)", ylabel="measured long axis (mm)")
        figure.savefig(out / name, dpi=_DPI, metadata={"Software": ""})
