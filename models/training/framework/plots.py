"""Small pictures of a training's figures for the model's folder; matplotlib is loaded when one is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
def figure(path: Path, size_inches: tuple[float, float] = _SIZE_INCHES) -> Iterator[Any]:
    """Give a figure, and write it as PNG to ``path`` afterwards; no window is opened.

    Raises
    ------
    TrainingError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise TrainingError("plots need matplotlib: pip install 'overread[train]'") from error
    drawn = Figure(figsize=size_inches, layout="constrained")
    yield drawn
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(drawn)
    drawn.savefig(path, dpi=_DPI, metadata={"Software": ""})


@contextmanager
def _axes(path: Path, across: str, up: str) -> Iterator[Any]:
    """Give the axes of a figure that has one pair of them; see :func:`figure`."""
    with figure(path) as drawn:
        yield drawn.add_subplot(xlabel=across, ylabel=up)


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


def by_case(path: Path, values: Mapping[str, Sequence[float]], up: str) -> None:
    """Draw figures of cases, such as the Dice of each part: one column a case, the worst mean first, and the means.

    Parameters
    ----------
    values
        By name of the series, in the same order of cases.
    up
        What the values are.
    """
    table = np.array(list(values.values()))
    order = np.argsort(table.mean(axis=0), kind="stable")
    with _axes(path, "case, by its mean", up) as axes:
        for number, (name, row) in enumerate(zip(values, table, strict=True)):
            axes.scatter(np.arange(row.size), row[order], s=9, color=f"C{number}", label=f"{name}, {row.mean():.3f}")
            axes.axhline(row.mean(), color=f"C{number}", linewidth=0.8)
        axes.legend(fontsize=7, loc="lower right")


def agreement(
    path: Path,
    pairs: Mapping[str, tuple[Numbers, Numbers]],
    unit: str,
    half_widths: Mapping[str, Numbers] | None = None,
) -> None:
    """Draw what was measured over what is true, with the line where they agree.

    Parameters
    ----------
    pairs
        True and measured values by name of the series.
    half_widths
        Of the intervals of measured values, by the same names; a series without is drawn without.
    """
    with _axes(path, f"true ({unit})", f"measured ({unit})") as axes:
        values = np.concatenate([np.asarray(part, dtype=np.float64) for pair in pairs.values() for part in pair])
        ends = [values.min(), values.max()] if values.size else [0, 1]
        axes.plot(ends, ends, color="grey", linewidth=0.8)
        for name, (true, measured) in pairs.items():
            axes.errorbar(
                true, measured, yerr=(half_widths or {}).get(name), label=name, fmt="o", markersize=3, elinewidth=0.6
            )
        if len(pairs) > 1:
            axes.legend(fontsize=7)
