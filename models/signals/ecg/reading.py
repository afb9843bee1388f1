"""From a prepared strip to the network's answers: windows, numbers, and the mean over windows and networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from models.signals.ecg.details import NAMES as DETAILS
from models.signals.ecg.details import describe_details
from models.signals.ecg.intervals import describe
from models.signals.ecg.network import FIBRILLATION, STRIDE
from models.signals.ecg.preparing import RATE_HZ
from models.signals.filters import Array
from models.signals.qrs import Beats

#: Longest stretch that the network reads at once, in samples: 30 s, as the single-lead training set has.
WINDOW = 30 * int(RATE_HZ)

#: A last window shorter than this, in samples, is moved back over the one before it.
SHORTEST = 5 * int(RATE_HZ)


@dataclass(frozen=True, eq=False)
class Window:
    """What the network reads of one stretch.

    Parameters
    ----------
    signal
        ``[lead, sample]`` float32, padded with zeros to a multiple of :data:`STRIDE`.
    numbers
        See :data:`models.signals.ecg.intervals.NAMES`.
    length
        Samples before the padding.
    details
        See :mod:`models.signals.ecg.details`; 0 where there are several leads.
    """

    signal: npt.NDArray[np.float32]
    numbers: npt.NDArray[np.float32]
    length: int
    details: npt.NDArray[np.float32]

    @property
    def described(self) -> npt.NDArray[np.float32]:
        """Numbers and details in one row, as the networks and the forests get them."""
        return np.concatenate([self.numbers, self.details])


def make_window(
    samples: Array,
    beats: Beats,
    size: int | None = None,
    gap: tuple[int, int] | None = None,
    details: npt.NDArray[np.float32] | None = None,
) -> Window:
    """Make a window of ``[lead, sample]`` with the beats in it.

    Parameters
    ----------
    size
        Samples to pad it to.
    gap
        A stretch to blank, as first sample and first one after it.
    details
        As :func:`details_of` gives them; without them they are 0.
    """
    length = samples.shape[-1]
    padded = size or -(-length // STRIDE) * STRIDE
    signal = np.zeros((samples.shape[0], padded), dtype=np.float32)
    signal[:, :length] = samples
    if gap:
        signal[:, slice(*gap)] = 0.0
    known = np.zeros(len(DETAILS), dtype=np.float32) if details is None else details
    return Window(signal, describe(samples, beats, RATE_HZ, gap).astype(np.float32), length, known)


def details_of(samples: Array, beats: Beats) -> npt.NDArray[np.float32] | None:
    """Details of a single lead, ``[1, sample]``; None of several, whose networks have no forests."""
    return describe_details(samples[0], beats, RATE_HZ) if samples.shape[0] == 1 else None


def spans(length: int, window: int = WINDOW, shortest: int = SHORTEST) -> list[tuple[int, int]]:
    """Divide ``length`` samples into windows; a short rest becomes a window that overlaps the one before."""
    starts = list(range(0, max(length - shortest, 0) + 1, window)) or [0]
    found = [(start, min(start + window, length)) for start in starts]
    if found[-1][1] < length:
        found.append((max(0, length - window), length))
    return found


def windows_of(samples: Array, beats: Beats, window: int = WINDOW) -> list[Window]:
    """Cut a prepared record into windows."""
    found = []
    for first, last in spans(samples.shape[-1], window):
        part, inside = samples[:, first:last], beats[(beats >= first) & (beats < last)] - first
        found.append(make_window(part, inside, details=details_of(part, inside)))
    return found


def logits_of(networks: Sequence[torch.nn.Module], windows: Sequence[Window], device: torch.device) -> Array:
    """Logits of each network for each window.

    Windows of one shape go through together.

    Returns
    -------
    array
        ``[network, window, 4]``: three rhythms, then noise.
    """
    out = np.zeros((len(networks), len(windows), 4))
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for at, window in enumerate(windows):
        by_shape.setdefault(window.signal.shape, []).append(at)
    with torch.inference_mode():
        for chosen in by_shape.values():
            signal = torch.from_numpy(np.stack([windows[at].signal for at in chosen])).to(device)
            numbers = torch.from_numpy(np.stack([windows[at].described for at in chosen])).to(device)
            length = torch.tensor([windows[at].length for at in chosen], device=device)
            for number, network in enumerate(networks):
                out[number, chosen] = network(signal, numbers, length).double().cpu().numpy()
    return out


def fibrillation_logit(logits: Array) -> Array:
    """Log-odds of fibrillation against the two other rhythms, of ``[..., 4]``."""
    others = np.delete(logits[..., :3], FIBRILLATION, axis=-1)
    return np.asarray(logits[..., FIBRILLATION] - np.logaddexp(others[..., 0], others[..., 1]))
