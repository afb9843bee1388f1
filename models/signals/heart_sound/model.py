"""Heart sounds: whether a recording sounds like those of patients with heart disease."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models import calibrated
from models.checks import check_waveform
from models.contracts import Finding, InputDeclined, Measurement, ModelCard, Prediction, Source, Trace, Waveform
from models.shipped import ShippedBatch, restore
from models.signals.filters import Array
from models.signals.heart_sound import parts, scope
from models.signals.heart_sound.denoise import RATE_HZ, prepare
from models.signals.heart_sound.explaining import LONGEST_S, importance_trace, probability_trace
from models.signals.heart_sound.network import HeartSoundNetwork
from models.signals.heart_sound.reading import WINDOW, Spectrogram, mean_logits, window_starts, windows_of
from models.signals.scope import read_scope

#: How many networks the weights hold.
MEMBERS = 3

#: A heart rate is given where the envelope repeats this well (0 to 1).
CLEAR_PERIODICITY = 0.4

METHOD = "range over three networks"


class HeartSoundEnsemble(torch.nn.Module):
    """The networks, in one file of weights."""

    def __init__(self, members: int = MEMBERS) -> None:
        super().__init__()
        self.members = torch.nn.ModuleList(HeartSoundNetwork() for _ in range(members))


@dataclass(frozen=True, eq=False)
class _Recording:
    """A recording as the networks hear it."""

    sound: Array
    windows: Sequence[Spectrogram]
    distance: float
    per_minute: float
    periodicity: float


class HeartSoundModel(ShippedBatch):
    """The model of the catalogue; made by :func:`load`.

    Parameters
    ----------
    ensemble
        With its weights, on ``device``.
    card
        Names the requirements, and in its metrics calibration, threshold and scope.
    """

    def __init__(self, ensemble: HeartSoundEnsemble, card: ModelCard, device: torch.device) -> None:
        ensemble.eval()
        self._networks = list(ensemble.members)
        super().__init__(card, device)
        self._operating = calibrated.read_operating(card.metrics.get("operating"))
        self._scope = read_scope(card.metrics.get("scope"))

    def check(self, source: Source) -> None:
        """Raise :class:`~models.contracts.InputDeclined` with the reason if ``source`` is unsuitable."""
        self._checked(source)

    def predict_many(self, sources: Sequence[Source]) -> list[Prediction]:
        """Infer several recordings; their windows go through the networks together.

        Returns
        -------
        list of Prediction
            Of each one finding with its probability, and the heart rate where the sound repeats clearly; a trace of
            when the answer arose.

        Raises
        ------
        InputDeclined
            If :meth:`check` does of one, or the recording is silent, clipped, steady noise, or not like heart sounds.
        """
        recordings = [self._prepared(self._checked(source)) for source in sources]
        logits = mean_logits(self._networks, [window for one in recordings for window in one.windows], self._device)
        edges = np.cumsum([len(one.windows) for one in recordings])[:-1]
        pairs = zip(recordings, np.split(logits, edges, axis=1), strict=True)
        return [self._answer(recording, own) for recording, own in pairs]

    def _checked(self, source: Source) -> Waveform:
        return check_waveform(source, self._card.requirements)

    def _prepared(self, waveform: Waveform) -> _Recording:
        raw = waveform.array[channel_of(waveform)]
        scope.check_loudness(raw, waveform.rate_hz)
        sound = prepare(raw, waveform.rate_hz)
        windows = windows_of(sound)
        numbers = [scope.describe(window) for window in windows]
        distance = float(np.median([self._scope.distance(row) for row in numbers]))
        per_minute, periodicity = scope.rhythm(sound)
        modulation = float(np.median([row[: row.size // 2].mean() for row in numbers]))
        scope.check_steadiness(modulation, periodicity)
        if distance > self._scope.limit:
            raise InputDeclined(
                "The recording is not like the heart sounds that the model was trained on "
                f"(distance {distance:.1f}, at most {self._scope.limit:.1f})."
            )
        return _Recording(sound, windows, distance, per_minute, periodicity)

    def _answer(self, recording: _Recording, logits: Array) -> Prediction:
        """Answer one recording of its logits, ``[network, window]``."""
        found = calibrated.answer(logits.mean(axis=1), self._operating)
        return Prediction(
            (make_finding(found, recording.per_minute, recording.periodicity, self._operating.threshold),),
            warnings=(parts.WARNING,),
            traces=(self._trace(recording, logits),),
            scores={
                "probability": found.probability,
                "threshold": self._operating.threshold,
                "out_of_scope": recording.distance,
                "uncertainty": found.spread,
            },
        )

    def _trace(self, recording: _Recording, logits: Array) -> Trace:
        if recording.sound.size <= LONGEST_S * RATE_HZ:
            return importance_trace(self._networks, recording.sound, self._device)
        starts = window_starts(recording.sound.size)
        return probability_trace(logits.mean(axis=0), starts, WINDOW, self._operating)


def channel_of(waveform: Waveform) -> int:
    """Channel that is called a heart sound; the first one where none is."""
    names = [channel.name.upper() for channel in waveform.channels]
    return next((at for at, name in enumerate(names) if name in parts.CHANNEL_NAMES), 0)


def make_finding(found: calibrated.Answer, per_minute: float, periodicity: float, threshold: float) -> Finding:
    """State what was heard; never a diagnosis."""
    measured = [calibrated.measurement(found, METHOD)]
    rate = ""
    if periodicity >= CLEAR_PERIODICITY:
        measured.append(
            Measurement(parts.HEART_RATE, round(per_minute), parts.PER_MINUTE, method="autocorrelation of the envelope")
        )
        rate = f" About {per_minute:.0f} beats a minute."
    present = found.probability >= threshold
    said = "sounds like" if present else "does not sound like"
    limit = "It does not tell which disease, or whether there is any." if present else "It rules no disease out."
    return Finding(
        label=parts.LABEL,
        code=parts.ABNORMAL,
        measurements=tuple(measured),
        confidence=found.probability,
        text=f"The recording {said} those of patients with heart disease "
        f"({calibrated.said(found, threshold)}).{rate} {limit} {parts.CAVEAT}",
        present=present,
    )


def load(folder: Path, device: str = "auto") -> HeartSoundModel:
    """Load the model from a folder of weights, as :func:`models.shipped.restore` does; the catalogue's factory."""
    network, card, chosen = restore(HeartSoundEnsemble(), folder, device)
    return HeartSoundModel(network, card, chosen)
