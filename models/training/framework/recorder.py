"""What a training tells while it runs: a progress bar, a CSV file, and TensorBoard where it is installed."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Row = dict[str, float]
"""One line of the log: epoch, loss, learning_rate, seconds, and the figures of the validation."""

LOG_FILE = "log.csv"
TENSORBOARD_FOLDER = "tensorboard"
NO_TENSORBOARD = "TensorBoard is not installed, so only the CSV log is written: pip install 'overread[train]'"
_FIRST = ("epoch", "loss", "learning_rate", "seconds")


def summary_writer(folder: Path) -> Any | None:
    """Give a writer of TensorBoard's events, or None where that is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(log_dir=str(folder))


class Recorder:
    """Writes the log of a training to a folder and moves its progress bar.

    Parameters
    ----------
    out
        Folder for ``log.csv`` and the TensorBoard events.
    epochs
        Length of the bar.
    past
        Rows of the part of the training that is already done.
    bar
        To move; it may be disabled.
    """

    def __init__(self, out: Path, epochs: int, past: Sequence[Row], bar: Progress) -> None:
        self._log = out / LOG_FILE
        self._rows = list(past)
        self._bar = bar
        self._task = bar.add_task("training", total=epochs, completed=len(past), note="")
        self._board = summary_writer(out / TENSORBOARD_FOLDER)
        if self._board is None and not bar.disable:
            bar.console.print(NO_TENSORBOARD)

    def epoch(self, row: Row) -> None:
        """Write one epoch to the logs and move the bar."""
        self._rows.append(row)
        self._write()
        figures = {name: value for name, value in row.items() if name != "epoch"}
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(name, value, int(row["epoch"]))
        shown = (f"{name} {value:.3f}" for name, value in figures.items() if name not in {"learning_rate", "seconds"})
        self._bar.update(self._task, advance=1, note="  ".join(shown))

    def _write(self) -> None:
        """Write the whole log: an epoch without validation has fewer columns than one with it."""
        names = list(dict.fromkeys([*_FIRST, *(name for row in self._rows for name in row)]))
        with self._log.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in self._rows)

    def close(self) -> None:
        """Flush what TensorBoard holds back."""
        if self._board is not None:
            self._board.close()


def progress_bar(shown: bool) -> Progress:
    """Make the bar of a training; one that is not shown takes the same calls."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    return Progress(*columns, disable=not shown)


@contextmanager
def recording(out: Path, epochs: int, past: Sequence[Row], *, progress: bool) -> Iterator[Recorder]:
    """Give a :class:`Recorder`, with a progress bar on the terminal where ``progress`` is true."""
    with progress_bar(progress) as bar:
        recorder = Recorder(out, epochs, past, bar)
        try:
            yield recorder
        finally:
            recorder.close()
