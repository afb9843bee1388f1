"""What the whole model makes of records, beyond its networks' logits: what it declines, and exchanged electrodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from models.contracts import Channel, InputDeclined, Waveform
from models.signals.ecg.leads import leads_look_exchanged
from models.signals.ecg.model import RhythmModel
from models.signals.ecg.parts import TWELVE_LEADS
from models.signals.ecg.preparing import RATE_HZ
from models.signals.filters import Array
from models.training.ecg_af.data import CINC_RATE_HZ, NOT_FIBRILLATION, Strip, read_millivolts
from models.training.ecg_af.measuring import CLASS_NAMES

#: Where limb leads come from after the arm electrodes were exchanged, and with which sign.
_EXCHANGED: Mapping[str, tuple[str, float]] = {
    "I": ("I", -1.0), "II": ("III", 1.0), "III": ("II", 1.0), "aVR": ("aVL", 1.0), "aVL": ("aVR", 1.0),
}  # fmt: skip

#: What the records of single leads are called: the data set's recorder is held with both hands.
_SINGLE_LEAD = "I"


def single_waveforms(data: Path, strips: Sequence[Strip]) -> Iterator[tuple[str, Waveform]]:
    """Class and record of single leads as they were recorded."""
    channels = (Channel(_SINGLE_LEAD, None, "mV"),)
    for strip in strips:
        array = read_millivolts(data, strip.case).astype(np.float32)
        yield CLASS_NAMES[strip.label], Waveform(array, CINC_RATE_HZ, channels, "ECG")


def twelve_waveforms(strips: Sequence[Strip]) -> Iterator[tuple[str, Waveform]]:
    """Class and record of twelve leads, as the network reads them: the data set has no others."""
    channels = tuple(Channel(name, None, "mV") for name in TWELVE_LEADS)
    for strip in strips:
        name = "not fibrillation" if strip.label == NOT_FIBRILLATION else CLASS_NAMES[strip.label]
        yield name, Waveform(strip.samples.astype(np.float32), RATE_HZ, channels, "ECG")


def declined(model: RhythmModel, records: Iterator[tuple[str, Waveform]], count: int, *, progress: bool) -> dict[
    str, dict[str, int]
]:  # fmt: skip
    """Count of each class how many records there are and how many the model declines."""
    found: dict[str, dict[str, int]] = {}
    for name, waveform in track(records, "asked", total=count, disable=not progress):
        row = found.setdefault(name, {"n": 0, "declined": 0})
        row["n"] += 1
        row["declined"] += _declines(model, waveform)
    return found


def _declines(model: RhythmModel, waveform: Waveform) -> bool:
    try:
        model.predict(waveform)
    except InputDeclined:
        return True
    return False


def exchanged_arms(strips: Sequence[Strip]) -> dict[str, int]:
    """Count the twelve-lead records that look as if the arm electrodes were exchanged, before and after they are."""
    return {
        "n": len(strips),
        "warned_of_as_they_are": sum(_looks_exchanged(strip, strip.samples) for strip in strips),
        "warned_of_when_exchanged": sum(
            _looks_exchanged(strip, with_arms_exchanged(strip.samples)) for strip in strips
        ),
    }


def with_arms_exchanged(samples: Array) -> Array:
    """Leads ``[12, sample]`` as they are recorded when left and right arm electrodes are exchanged."""
    sources = [_EXCHANGED.get(name, (name, 1.0)) for name in TWELVE_LEADS]
    return np.stack([sign * samples[TWELVE_LEADS.index(name)] for name, sign in sources])


def _looks_exchanged(strip: Strip, samples: Array) -> bool:
    return leads_look_exchanged(samples, strip.beats, TWELVE_LEADS, RATE_HZ)


def asked(model: RhythmModel, data: Path, single: Sequence[Strip], twelve: Sequence[Strip], *, progress: bool) -> dict[
    str, Any
]:  # fmt: skip
    """Count what the model declines of held-out records."""
    return {
        "single": declined(model, single_waveforms(data, single), len(single), progress=progress),
        "twelve": declined(model, twelve_waveforms(twelve), len(twelve), progress=progress),
    }
