"""Reading of the few WFDB files that tests look at: formats 212 and 16, and beat annotations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

#: Annotation codes of beats (WFDB ecgcodes.h), and of what is no beat but moves the time or the file on.
_BEATS = {*range(1, 14), 34, 38}
_SKIP, _NUM, _SUB, _CHN, _AUX = 59, 60, 61, 62, 63


def read_212(path: Path, signals: int, rate_hz: float, gain: float = 200.0, base: int = 1024) -> tuple[
    npt.NDArray[np.float64], float
]:  # fmt: skip
    """Read a record of two signals in format 212: ``[signal, sample]`` in mV."""
    raw = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    triples = raw[: raw.size // 3 * 3].reshape(-1, 3).astype(np.int32)
    first = triples[:, 0] | ((triples[:, 1] & 0x0F) << 8)
    second = triples[:, 2] | ((triples[:, 1] & 0xF0) << 4)
    values = np.stack([first, second], axis=1).reshape(-1)
    values = np.where(values > 2047, values - 4096, values)
    return (values.reshape(-1, signals).T - base) / gain, rate_hz


def read_16(path: Path, signals: int, gain: float) -> npt.NDArray[np.float64]:
    """Read a record in format 16: ``[signal, sample]`` in mV."""
    return np.fromfile(path, dtype="<i2").reshape(-1, signals).T / gain


def beats_of(path: Path) -> npt.NDArray[np.int64]:
    """Sample of each beat of an annotation file in MIT format."""
    words = np.frombuffer(path.read_bytes(), dtype="<u2")
    times, time, at = [], 0, 0
    while at < words.size and words[at]:
        code, value = int(words[at] >> 10), int(words[at] & 0x3FF)
        at += 1
        if code == _SKIP:
            time += (int(words[at]) << 16) + int(words[at + 1])
            at += 2
        elif code == _AUX:
            at += (value + 1) // 2
        elif code not in {_NUM, _SUB, _CHN}:
            time += value
            if code in _BEATS:
                times.append(time)
    return np.array(times)
