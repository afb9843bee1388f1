"""Heart sounds of CinC 2016 as WAV files of 5 s; label and sub-database stand in the file's name."""

from __future__ import annotations

import re
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.signals.filters import Array
from models.training.framework.data import DataError

FOLDER = "audio-heart-sounds"
TRAIN, HELD_OUT = "train", "test"

#: ``<recording>-<cut>-<normal|abnormal>.wav``; the first letter is the challenge's sub-database.
_NAME = re.compile(r"([a-f])(\d{1,6})-(\d{1,3})-(normal|abnormal)")

#: Longest sound that is read, in samples; those of the set have 10 000.
_LONGEST = 1_000_000


@dataclass(frozen=True, eq=False)
class Sound:
    """One labelled cut of one recording: samples from -1 to 1 at ``rate_hz``."""

    case: str
    recording: str
    database: str
    samples: Array
    rate_hz: float
    abnormal: bool


def read_wav(path: Path) -> tuple[Array, float]:
    """Samples (-1 to 1) and rate of a mono WAV file of 16 bits."""
    with wave.open(str(path)) as file:
        if file.getnchannels() != 1 or file.getsampwidth() != 2 or file.getnframes() > _LONGEST:
            raise DataError(f"{path.name} is not a short mono WAV file of 16 bits")
        data = file.readframes(file.getnframes())
        return np.frombuffer(data, dtype="<i2").astype(np.float64) / 32768.0, float(file.getframerate())


def read_part(data: Path, part: str) -> list[Sound]:
    """Read :data:`TRAIN` or :data:`HELD_OUT`, in the order of the names."""
    return list(_sounds(_folder(data) / part))


def _folder(data: Path) -> Path:
    for folder in (data / FOLDER, data):
        if (folder / TRAIN).is_dir():
            return folder
    raise DataError(f"no {FOLDER}/{TRAIN} below {data}")


def _sounds(folder: Path) -> Iterator[Sound]:
    for path in sorted(folder.glob("*.wav")):
        match = _NAME.fullmatch(path.stem)
        if match is None:
            raise DataError(f"{path.name} does not say recording, cut and label")
        samples, rate_hz = read_wav(path)
        database, number = match[1], match[2]
        yield Sound(path.stem, database + number, database, samples, rate_hz, match[4] == "abnormal")
