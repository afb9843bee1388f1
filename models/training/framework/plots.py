"""Small pictures of a training's figures for the model's folder; matplotlib is loaded when one is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.training.framework.fit import TrainingError
from models.training.framework.metrics import auc, ece
from models.training.framework.recorder import Row

Numbers = Sequence[float] | npt.NDArray[Any]
_SIZE_INCHES = (3.6, 3.4)
_DPI = 100


@contextmanager
def _axes(path: Path, across: str, up: str) -> Iterator[Any]:
    """Give axes, and write them as PNG to ``path`` afterwards; no window is opened."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise TrainingError("plots need matplotlib: pip install 'overread[train]'") from error
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    axes = figure.add_subplot(xlabel=across, ylabel=up)
    yield axes
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=_DPI, metadata={"Software": ""})


def roc(path: Path, truth: Numbers, probability: Numbers) -> None:
    """Draw the receiver operating characteristic."""
    positive, values = np.asarray(truth).astype(bool), np.asarray(probability, dtype=np.float64)
    order = np.argsort(-values, kind="stable")
    last = np.append(np.flatnonzero(np.diff(values[order])), values.size - 1)
    hits, misses = np.cumsum(positive[order])[last], np.cumsum(~positive[order])[last]
    with _axes(path, "1 - specificity", "sensitivity") as axes:
        axes.plot(np.append(0, misses / max(1, misses[-1])), np.append(0, hits / max(1, hits[-1])))
        axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
        axes.set_title(f"AUC {auc(truth, probability):.3f}, n = {values.size}", fontsize=10)


def calibration(path: Path, truth: Numbers, probability: Numbers, bins: int = 10) -> None:
    """Draw the observed share over the mean probability of bins of equal width, with the number of cases of each."""
    positive, values = np.asarray(truth).astype(bool), np.asarray(probability, dtype=np.float64)
    index = np.minimum((values * bins).astype(np.int64), bins - 1)
    counts = np.bincount(index, minlength=bins)
    there = counts > 0
    mean = np.bincount(index, weights=values, minlength=bins)[there] / counts[there]
    share = np.bincount(index, weights=positive, minlength=bins)[there] / counts[there]
    with _axes(path, "predicted probability", "observed share") as axes:
        axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
        axes.plot(mean, share, marker="o")
        for x, y, n in zip(mean, share, counts[there], strict=True):
            axes.annotate(str(int(n)), (x, y), textcoords="offset points", xytext=(4, -9), fontsize=7)
        axes.set_title(f"ECE {ece(truth, probability, bins):.3f}, n = {values.size}", fontsize=10)


def confusion(path: Path, matrix: Sequence[Sequence[int]] | npt.NDArray[Any], names: Sequence[str]) -> None:
    """Draw a table of truth (rows) against what was called (columns)."""
    values = np.asarray(matrix)
    with _axes(path, "called", "truth") as axes:
        axes.imshow(values / np.maximum(1, values.sum(axis=1, keepdims=True)), cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
        axes.set_yticks(range(len(names)), names)
        for (row, column), count in np.ndenumerate(values):
            share = count / max(1, values[row].sum())
            colour = "white" if share > 0.5 else "black"
            axes.text(column, row, str(int(count)), ha="center", va="center", color=colour)


def curves(path: Path, history: Sequence[Row], names: Sequence[str] = ()) -> None:
    """Draw figures over epochs; without names the loss and all figures of the validation."""
    known = dict.fromkeys(name for row in history for name in row)
    shown = names or [name for name in known if name not in {"epoch", "learning_rate", "seconds"}]
    with _axes(path, "epoch", "") as axes:
        for name in shown:
            rows = [row for row in history if name in row]
            axes.plot([row["epoch"] for row in rows], [row[name] for row in rows], label=name)
        axes.legend(fontsize=7)
