"""What a training tells: a progress bar, a CSV file, TensorBoard where it is installed, and the best weights."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from rich.progress import Progress

from models.runtime import save_weights
from models.training.framework.recorder import (
    LOG_FILE,
    NO_TENSORBOARD,
    TENSORBOARD_FOLDER,
    progress_bar,
    summary_writer,
)
from models.training.loop import EpochRow


class Recorder:
    """Observer of :func:`models.training.loop.fit` that writes to a folder and moves a progress bar.

    Parameters
    ----------
    out
        Folder for ``log.csv``, the TensorBoard events and the best weights.
    weights
        File for the best weights.
    classes
        Names of the validated classes, for the columns.
    progress
        Bar to move, or None.
    epochs
        Length of the bar.
    """

    def __init__(
        self, out: Path, weights: Path, classes: Sequence[str], progress: Progress | None, epochs: int
    ) -> None:
        self._log = out / LOG_FILE
        self._weights = weights
        self._classes = tuple(classes)
        self._progress = progress
        self._task = progress.add_task("training", total=epochs, note="") if progress else None
        self._board = summary_writer(out / TENSORBOARD_FOLDER)
        self.best: EpochRow | None = None
        header = ["epoch", "loss", "learning_rate", "seconds", *(f"validation_dice_{name}" for name in self._classes)]
        self._write(header, mode="w")
        if self._board is None and progress is not None:
            progress.console.print(NO_TENSORBOARD)

    def _write(self, row: Sequence[object], mode: str = "a") -> None:
        with self._log.open(mode, newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(row)

    def epoch(self, row: EpochRow) -> None:
        """Write one epoch to the logs and move the bar."""
        scores = row.validation_dice or ()
        shown = [f"{value:.5f}" for value in scores] or [""] * len(self._classes)
        self._write([row.epoch, f"{row.loss:.5f}", f"{row.learning_rate:.3e}", f"{row.seconds:.1f}", *shown])
        if self._board is not None:
            self._board.add_scalar("loss", row.loss, row.epoch)
            self._board.add_scalar("learning_rate", row.learning_rate, row.epoch)
            for name, value in zip(self._classes, scores, strict=False):
                self._board.add_scalar(f"validation_dice/{name}", value, row.epoch)
        if self._progress is not None and self._task is not None:
            note = f"loss {row.loss:.3f}" + "".join(f"  {value:.3f}" for value in scores)
            self._progress.update(self._task, advance=1, note=note)

    def continued(self, epochs: int) -> Continued:
        """Give an observer for a further stage, whose epochs count on from ``epochs``."""
        return Continued(self, epochs)

    def improved(self, network: torch.nn.Module, row: EpochRow) -> None:
        """Keep the weights of the best validation so far."""
        self.best = row
        save_weights(network, self._weights)

    def close(self) -> None:
        """Flush what TensorBoard holds back."""
        if self._board is not None:
            self._board.close()


class Continued:
    """Observer of a further stage: the same log, epochs counted on, no weights kept on the way."""

    def __init__(self, recorder: Recorder, epochs: int) -> None:
        self._recorder = recorder
        self._epochs = epochs

    def epoch(self, row: EpochRow) -> None:
        """Log one epoch under its number in the whole training."""
        self._recorder.epoch(replace(row, epoch=row.epoch + self._epochs))

    def improved(self, network: torch.nn.Module, row: EpochRow) -> None:
        """Keep nothing: a further stage selects nothing."""


@contextmanager
def recording(out: Path, weights: Path, classes: Sequence[str], epochs: int, *, progress: bool) -> Iterator[Recorder]:
    """Give a :class:`Recorder` for a training, with a progress bar on the terminal where ``progress`` is true."""
    out.mkdir(parents=True, exist_ok=True)
    with progress_bar(progress) as bar:
        recorder = Recorder(out, weights, classes, bar if progress else None, epochs)
        try:
            yield recorder
        finally:
            recorder.close()
