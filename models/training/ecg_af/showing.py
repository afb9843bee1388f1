"""Held-out electrocardiograms with the answers of the model, for the folder of a training."""

from __future__ import annotations

from pathlib import Path

from models import catalog
from models.signals.ecg.network import FIBRILLATION
from models.training.ecg_af.asking import single_waveforms, twelve_waveforms
from models.training.ecg_af.card import NAME
from models.training.ecg_af.measuring import readable
from models.training.ecg_af.training import load_data
from models.training.framework import examples

NAMES = ("no fibrillation", "fibrillation")


def pictures(data: Path, out: Path, *, device: str = "auto", weights: Path | None = None) -> None:
    """Draw ``examples.png``, half of it single leads; see :func:`models.training.registry.evaluate`."""
    found, model = load_data(data), catalog.load(NAME, device, folder=weights)
    single, twelve = (
        examples.some([strips[at] for at in readable(strips)])
        for strips in (found.single_held_out, found.twelve_held_out)
    )
    chosen: list[examples.Example] = []
    for strips, records in ((single, single_waveforms(data, single)), (twelve, twelve_waveforms(twelve))):
        items = (
            (strip.case, waveform, strip.label == FIBRILLATION)
            for strip, (_, waveform) in zip(strips, records, strict=True)
        )
        chosen += examples.choose(examples.ask(model, items, NAMES), examples.COUNT // 2)
    examples.page(out / examples.FILE, chosen)
