"""What a decoding process runs: told where compressed pixels lie in a file, it writes the values to shared memory.

A request is one line of JSON on standard input; the answer is one byte. Nothing in a request is ever run or imported by
name. The process holds no secrets, opens only the files that it is told, and ends with its standard input. Decoders are
written in C and read what strangers sent: a crash, an endless loop or an allocation without bound ends this process
and nothing else.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

DONE, FAILED = b"+", b"-"
"""Answers: the values are in shared memory; the decoder raised, or gave another number of values than was asked for."""

MAX_MEMORY = 2 << 30
"""Address space of the process in bytes: a hostile codestream allocates no more."""

START_SECONDS = 120.0
"""Longest start; the kernel ends the process then, whether its parent lives or not."""

LEAST_SECONDS, PIXELS_PER_SECOND = 30.0, 100_000
"""Longest time for a request: the first, and this many pixels a second, a fortieth of JPEG 2000's speed on one core."""

QUICK = frozenset({"1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"})
"""Transfer syntaxes (JPEG lossless) that libjpeg-turbo decodes ten times as fast as what pydicom knows; it comes with
the package imagecodecs, where that is installed."""

MARKED = frozenset(
    f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70, 80, 81, 90, 91, 92, 93, 201, 202, 203)
)
"""Transfer syntaxes of the JPEG family: a codestream ends with a marker that cannot occur within its data."""

END_MARKER = b"\xff\xd9"

PADDING = 64
"""How many bytes may follow the end marker: one is allowed (PS3.5 A.4), some encoders leave more."""

LONGEST = 1 << 14
"""Longest request in bytes: a path and a dozen numbers."""


def seconds_for(pixels: int) -> float:
    """Longest time that decoding may take."""
    return LEAST_SECONDS + pixels / PIXELS_PER_SECOND


def main(shared: int) -> None:
    """Serve until standard input ends.

    Parameters
    ----------
    shared
        File descriptor of the shared memory.
    """
    for ignored in (signal.SIGINT, signal.SIGTERM):  # meant for the worker, which ends its present task first
        signal.signal(ignored, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, START_SECONDS)
    answers = os.dup(1)
    os.dup2(2, 1)  # what a C library prints is no answer
    import pydicom.pixels  # noqa: F401  before the first request comes

    turbo()
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold pixels
    warnings.simplefilter("ignore")
    signal.setitimer(signal.ITIMER_REAL, 0)
    while line := sys.stdin.buffer.readline(LONGEST):
        os.write(answers, answer(line, shared))


def answer(line: bytes, shared: int) -> bytes:
    """Do what a request asks for; a Python error is :data:`FAILED`."""
    try:
        request = json.loads(line)
        count = request["options"]["rows"] * request["options"]["columns"] * request["options"]["number_of_frames"]
        signal.setitimer(signal.ITIMER_REAL, seconds_for(count))
        try:
            values = decode(request)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if values.size != count or values.dtype.str != request["dtype"]:
            return FAILED
        _write(shared, values)
    except Exception:
        return FAILED
    return DONE


def decode(request: Mapping[str, Any]) -> npt.NDArray[np.generic]:
    """Decode all frames of one instance, as :func:`pydicom.pixels.pixel_array` with ``raw`` does from a data set."""
    from pydicom.encaps import generate_frames
    from pydicom.pixels.decoders.base import get_decoder

    options: Any = {**request["options"], "pixel_keyword": "PixelData"}
    with Path(request["path"]).open("rb") as file:
        source: BinaryIO = file
        source.seek(request["offset"])
        marked = request["syntax"] in MARKED
        frames = list(generate_frames(file, number_of_frames=options["number_of_frames"])) if marked else []
        if not is_whole(request["syntax"], frames):
            raise ValueError("a codestream is truncated")
        if request["quick"] and request["syntax"] in QUICK and (found := _quickly(request, frames)) is not None:
            return found
        source.seek(request["offset"])
        values, _ = get_decoder(request["syntax"]).as_array(
            source, raw=True, decoding_plugin=request["plugin"], **options
        )
    return values


def is_whole(syntax: str, frames: Iterable[bytes]) -> bool:
    """Whether every codestream has its end: decoders fill the rest of a truncated one with what is no picture."""
    return syntax not in MARKED or all(END_MARKER in frame[-PADDING:] for frame in frames)


def turbo() -> Any:
    """Return libjpeg-turbo's decoder, None where it is not installed."""
    try:
        return import_module("imagecodecs").jpeg8_decode
    except (ImportError, AttributeError):
        return None


def _quickly(request: Mapping[str, Any], frames: Sequence[bytes]) -> npt.NDArray[np.generic] | None:
    """Decode with libjpeg-turbo; None where it is not there, refuses, or gives other rows, columns or words."""
    import numpy as np

    if (decoder := turbo()) is None:
        return None
    dtype, options = np.dtype(request["dtype"]), request["options"]
    shape = options["rows"], options["columns"]
    found = []
    try:
        for data in frames:
            values = decoder(data)
            if values.shape != shape or values.dtype.kind != "u" or values.dtype.itemsize != dtype.itemsize:
                return None
            found.append(values)
    except Exception:
        return None
    return np.stack(found).view(dtype) if len(found) == options["number_of_frames"] else None


def _write(shared: int, values: npt.NDArray[np.generic]) -> None:
    data = memoryview(values.reshape(-1).view("u1"))  # type: ignore[arg-type]
    at = 0
    while at < len(data):
        at += os.pwrite(shared, data[at:], at)


if __name__ == "__main__":
    main(int(sys.argv[1]))
