"""Atrial fibrillation in an electrocardiogram: one probability for a strip, the share over time for a long record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models import calibrated
from models.checks import check_waveform
from models.contracts import InputDeclined, ModelCard, Prediction, Source, Waveform
from models.shipped import ShippedBatch, restore
from models.signals.ecg import parts
from models.signals.ecg.explaining import importance_trace
from models.signals.ecg.forest import RhythmMember
from models.signals.ecg.long_records import read_long
from models.signals.ecg.network import RhythmNetwork
from models.signals.ecg.preparing import RATE_HZ, prepare
from models.signals.ecg.reading import WINDOW, Window, fibrillation_logit, logits_of, spans, windows_of
from models.signals.ecg.reporting import strip_finding, strip_warnings
from models.signals.filters import Array
from models.signals.qrs import Beats, find_beats
from models.signals.scope import Scope, read_scope

#: How many networks of each kind the weights hold.
MEMBERS = 3

_KINDS = ("single", "twelve")


class RhythmEnsemble(torch.nn.Module):
    """The members for single leads and the networks for twelve, in one file of weights."""

    def __init__(self, members: int = MEMBERS) -> None:
        super().__init__()
        self.single = torch.nn.ModuleList(RhythmMember() for _ in range(members))
        self.twelve = torch.nn.ModuleList(RhythmNetwork() for _ in range(members))


@dataclass(frozen=True, eq=False)
class Kind:
    """How records of one kind are read: networks, window in samples, operating point, what is in scope."""

    networks: Sequence[torch.nn.Module]
    window: int
    operating: calibrated.Operating
    scope: Scope


@dataclass(frozen=True, eq=False)
class _Strip:
    """A record as the networks read it."""

    waveform: Waveform
    kind: Kind
    samples: Array
    beats: Beats
    windows: Sequence[Window]


class RhythmModel(ShippedBatch):
    """The model of the catalogue; made by :func:`load`.

    Parameters
    ----------
    ensemble
        With its weights, on ``device``.
    card
        Names the requirements, and in its metrics for each kind of record calibration, threshold and scope.
    """

    def __init__(self, ensemble: RhythmEnsemble, card: ModelCard, device: torch.device) -> None:
        ensemble.eval()
        super().__init__(card, device)
        windows = {"single": WINDOW, "twelve": int(parts.TWELVE_WINDOW_S * RATE_HZ)}
        self._kinds = {
            name: Kind(
                list(getattr(ensemble, name)),
                windows[name],
                calibrated.read_operating(card.metrics.get("operating", {}).get(name)),
                read_scope(card.metrics.get("scope", {}).get(name)),
            )
            for name in _KINDS
        }
        self._noise_threshold = float(card.metrics.get("noise_threshold", 0.5))

    def check(self, source: Source) -> None:
        """Raise :class:`~models.contracts.InputDeclined` with the reason if ``source`` is unsuitable."""
        self._checked(source)

    def predict_many(self, sources: Sequence[Source]) -> list[Prediction]:
        """Infer several records; windows of one shape go through the networks together.

        Returns
        -------
        list of Prediction
            Of each one finding with probability and ventricular rate; importance over time as a trace, or, of a record
            longer than :data:`~models.signals.ecg.parts.LONGEST_STRIP_S`, the probability over time.

        Raises
        ------
        InputDeclined
            If :meth:`check` does of one, or a record is too noisy, shows no heart beats, or is unlike the training set.
        """
        waveforms = [self._checked(source) for source in sources]
        long = {at for at, one in enumerate(waveforms) if one.seconds > parts.LONGEST_STRIP_S}
        strips = {at: self._prepared(one) for at, one in enumerate(waveforms) if at not in long}
        answers = self._strips(strips)
        return [
            read_long(waveform, self._kinds["single"], self._noise_threshold, self._device)
            if at in long
            else answers[at]
            for at, waveform in enumerate(waveforms)
        ]

    def _checked(self, source: Source) -> Waveform:
        return check_waveform(source, self._card.requirements, max_flat=parts.MOST_FLAT)

    def _prepared(self, waveform: Waveform) -> _Strip:
        kind = self._kinds["twelve" if waveform.array.shape[0] == len(parts.TWELVE_LEADS) else "single"]
        samples = prepare(waveform.array, waveform.rate_hz)
        read = samples[np.ptp(samples, axis=1) > 0]
        beats = find_beats(read, RATE_HZ)
        return _Strip(waveform, kind, samples, beats, windows_of(read, beats, kind.window))

    def _strips(self, strips: dict[int, _Strip]) -> dict[int, Prediction]:
        """Answer strips, of each kind together."""
        found = {}
        for kind in self._kinds.values():
            mine = {at: strip for at, strip in strips.items() if strip.kind is kind}
            windows = [window for strip in mine.values() for window in strip.windows]
            logits = logits_of(kind.networks, windows, self._device)
            edges = np.cumsum([len(strip.windows) for strip in mine.values()])[:-1]
            for (at, strip), own in zip(mine.items(), np.split(logits, edges, axis=1), strict=False):
                found[at] = self._answer(strip, own)
        return found

    def _answer(self, strip: _Strip, logits: Array) -> Prediction:
        """Answer one strip of its logits, ``[network, window, 4]``."""
        noise = float(1 / (1 + np.exp(-logits[..., 3].mean())))
        distance = float(np.mean([strip.kind.scope.distance(window.numbers) for window in strip.windows]))
        self._decline(strip, noise, distance)
        found = calibrated.answer(fibrillation_logit(logits.mean(axis=1)), strip.kind.operating)
        present = found.probability >= strip.kind.operating.threshold
        read = strip.samples[np.ptp(strip.samples, axis=1) > 0]
        trace = importance_trace(
            strip.kind.networks, read, strip.beats, spans(read.shape[-1], strip.kind.window), self._device
        )
        return Prediction(
            (strip_finding(found, strip.beats, strip.kind.operating.threshold, present=present),),
            warnings=strip_warnings(strip.waveform, strip.samples, strip.beats, logits, present=present),
            traces=(trace,),
            scores={
                "probability": found.probability, "threshold": strip.kind.operating.threshold, "out_of_scope": distance,
                "noise": noise, "uncertainty": found.spread,
            },
        )  # fmt: skip

    def _decline(self, strip: _Strip, noise: float, distance: float) -> None:
        """Raise :class:`InputDeclined` for a strip that cannot be read."""
        seconds = strip.samples.shape[-1] / RATE_HZ
        per_minute = 60.0 * strip.beats.size / seconds
        if not parts.RATE_RANGE[0] <= per_minute <= parts.RATE_RANGE[1]:
            raise InputDeclined(f"No heart beats can be made out: {strip.beats.size} complexes in {seconds:.0f} s.")
        if strip.kind is self._kinds["single"] and noise >= self._noise_threshold:
            raise InputDeclined("The recording is too noisy for its rhythm to be read.")
        if distance > strip.kind.scope.limit:
            raise InputDeclined(
                "The recording is not like those that the model was trained on "
                f"(distance {distance:.1f}, at most {strip.kind.scope.limit:.1f})."
            )


def load(folder: Path, device: str = "auto") -> RhythmModel:
    """Load the model from a folder of weights, as :func:`models.shipped.restore` does; the catalogue's factory."""
    network, card, chosen = restore(RhythmEnsemble(), folder, device)
    return RhythmModel(network, card, chosen)
