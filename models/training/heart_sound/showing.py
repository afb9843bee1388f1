"""Held-out heart sounds with the answers of the model, for the folder of a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models import catalog
from models.contracts import Channel, Waveform
from models.training.framework import examples
from models.training.heart_sound.card import NAME
from models.training.heart_sound.data import HELD_OUT, read_part


def pictures(data: Path, out: Path, *, device: str = "auto", weights: Path | None = None) -> None:
    """Draw ``examples.png``; see :func:`models.training.registry.evaluate`."""
    items = [
        (one.case, Waveform(one.samples[None].astype(np.float32), one.rate_hz, (Channel("PCG"),), "AU"), one.abnormal)
        for one in examples.some(read_part(data, HELD_OUT))
    ]
    said = examples.ask(catalog.load(NAME, device, folder=weights), items, ("normal", "abnormal"))
    examples.page(out / examples.FILE, examples.choose(said))
