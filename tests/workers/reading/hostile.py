"""Damaged files of every kind, and what reading them may do: `python -m tests.workers.reading.hostile`.

A reader may read the file, or refuse it with a sentence. Everything else is a fault: another exception, a crash, more
time or memory than :data:`SECONDS` and :data:`MEMORY`. The files are read in a process that was forked for them.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import random
import resource
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from models.contracts import InputDeclined, InputKind, InputRequirements
from node.simulator import jpeg_lossless
from tests.workers.reading import radiographs, waveforms
from tests.workers.synthetic import Phantom, multi_frame, single_frames
from workers.errors import SeriesRefused
from workers.reading import inputs

SECONDS = 20
"""Longest time for one file, on a machine that is busy."""

MEMORY = 2 << 30
"""Address space that reading one small file may take beyond what the process has; a process that asks more fails."""

PHANTOM = Phantom(shape=(3, 40, 36))
LENGTHS = (b"\xff\xff\xff\xff", b"\xfe\xff\xff\x7f", b"\x00\x00\x00\x00", b"\xff\xff", b"\x00\x00", b"\xff\x7f")


@dataclass(frozen=True)
class Sample:
    """Whole files of a series, of which the first is damaged, and the card that they are read for."""

    files: tuple[bytes, ...]
    needs: InputRequirements


def compressed(ds: Dataset, syntax: str) -> Dataset:
    """Compress an instance of 16 bits."""
    if syntax == JPEGLosslessSV1:
        values = np.frombuffer(ds.PixelData, "<u2").reshape(-1, ds.Rows, ds.Columns)
        ds.PixelData = encapsulate([jpeg_lossless.encode(frame, 16) for frame in values])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
        ds.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    elif syntax:
        ds.compress(syntax, generate_instance_uid=False)
    return ds


def samples(folder: Path) -> dict[str, list[Sample]]:
    """Make the whole files, by kind."""
    volume = InputRequirements((), (0.0, 1e9), (0.0, 1e9), uneven_spacing="resample", missing_slices="resample")
    record = InputRequirements((), kind=InputKind.RECORD)
    syntaxes = ("", JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless)
    stacks = [[compressed(ds, syntax) for ds in single_frames(PHANTOM)] for syntax in syntaxes]
    stacks += [[compressed(multi_frame(PHANTOM, [0, 1, 2]), syntax)] for syntax in ("", RLELossless)]
    tables = radiographs.radiograph(VOILUTSequence=[radiographs.lut([0, 9, 99, 999], 0)])
    flat = [compressed(radiographs.radiograph(), syntax) for syntax in syntaxes] + [tables]
    leads = waveforms.group(waveforms.TWELVE, waveforms.samples(12, 100))
    law = waveforms.group(["PCG"], waveforms.samples(1, 100) % 128, word="<u1", kind="MB")
    recordings = [waveforms.waveform(leads), waveforms.waveform(law), waveforms.waveform(leads, law)]

    def sample(instances: Sequence[Dataset], needs: InputRequirements) -> Sample:
        return Sample(tuple(path.read_bytes() for path in radiographs.save(folder, *instances)), needs)

    return {
        "volume": [sample(stack, volume) for stack in stacks],
        "radiograph": [sample([ds], radiographs.ANY) for ds in flat],
        "waveform": [sample([ds], waveforms.ANY) for ds in recordings],
        "record": [sample([ds], record) for ds in (recordings[0], flat[0])],
    }


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Change bytes, put lengths where there may be one, cut, repeat or leave out a piece."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at = rng.randrange(132, len(found)) if len(found) > 132 else 0
        how = rng.randrange(6)
        if how <= 1:
            found[at : at + 1] = bytes([rng.randrange(256)])
        elif how == 2:
            length = rng.choice(LENGTHS)
            found[at : at + len(length)] = length
        elif how == 3:
            del found[at : at + rng.choice((1, 2, 8, 200))]
        elif how == 4:
            piece = found[at : at + rng.choice((2, 8, 64, 500))]
            found[at:at] = piece
        elif rng.random() < 0.3:
            del found[at:]
    return bytes(found)


def outcome(kind: str, data: Sequence[bytes], needs: InputRequirements, folder: Path) -> str:
    """Read files in a process of their own; what came of it: ``read``, ``refused``, or the name of a fault."""
    paths = []
    for number, content in enumerate(data):
        path = folder / f"{kind}{number}.dcm"
        path.write_bytes(content)
        paths.append(path)
    here, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = b"no end"
        try:
            said = _read(paths, needs).encode()
        finally:
            os.write(there, said)
            os._exit(0)
    os.close(there)
    with os.fdopen(here, "rb") as pipe:
        answer = pipe.read().decode()
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return answer


def _read(paths: Sequence[Path], needs: InputRequirements) -> str:
    faulthandler.disable()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the kernel ends the process, also in a decoder
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        loaded = inputs.read(paths, needs)
        if not isinstance(getattr(loaded, "planes", None), str):
            return "no digest"
        inputs.headers(paths, needs)
    except (SeriesRefused, InputDeclined) as exc:
        return "refused" if str(exc) else "no sentence"
    except BaseException as exc:
        return type(exc).__name__
    return "read"


def run(
    count: int, seed: int = 0, kinds: Sequence[str] = (), told: Callable[[str], None] = lambda text: None
) -> Mapping[str, Counter[str]]:
    """Read ``count`` damaged files of each kind; returns how often there was which outcome."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="overread-hostile-") as name:
        folder = Path(name)
        for kind, whole in samples(folder / "whole").items():
            if kinds and kind not in kinds:
                continue
            counts: Counter[str] = Counter()
            for number in range(count):
                rng = random.Random(f"{seed} {kind} {number}")
                sample = rng.choice(whole)
                data = (damaged(sample.files[0], rng), *sample.files[1:])
                came = outcome(kind, data, sample.needs, folder)
                counts[came] += 1
                if came not in ("read", "refused"):
                    told(f"{kind} {number}: {came}")
            found[kind] = counts
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print({kind: dict(counts) for kind, counts in run(options.count, options.seed, told=print).items()})  # noqa: T201
