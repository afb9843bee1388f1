"""Time both ways in turn, and count the bytes that they make."""

from __future__ import annotations

import gc
import statistics
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.results.contenders import CONTENDERS, encode
from tests.benchmarks.results.study import Study
from workers.results.profile import Segmentation

BARE = "sr, highdicom's without image library"

KINDS: tuple[Segmentation, ...] = ("binary", "fractional", "labelmap")

#: Reports, by whether highdicom's lists its images as the node's does.
REPORTS = {"sr": True, BARE: False}

#: What a ratio of times must not exceed, and how much smaller than 8 bits a pixel a segmentation must be.
SLOWEST, SMALLEST = 1.0, 5.0
ASKED = f"at most {SLOWEST:g}x"
MET = {True: "yes", False: "**no**", None: ""}


@dataclass(frozen=True, slots=True)
class Run:
    """One object made once; seconds include its encoding."""

    kind: str
    contender: str
    seconds: float
    size: int
    uncompressed: int
    deflated: int = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """Ratio of the node's seconds to highdicom's, of each round."""

    kind: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """Of the rounds, which pair what ran back to back."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    @property
    def ratio(self) -> float:
        """Median of the rounds' ratios."""
        return statistics.median(self.ratios)


def rounds(study: Study, number: int) -> Iterator[list[Run]]:
    """Yield the runs of each round; the order of the two changes from round to round, and one round warms up."""
    for index in range(number + 1):
        names = list(CONTENDERS)[:: 1 if index % 2 else -1]
        runs = [run for kind in KINDS for name in names for run in _make(study, kind, name)]
        if index:
            yield runs


def _make(study: Study, kind: Segmentation, name: str) -> Iterator[Run]:
    """Make a segmentation and, of binary ones, reports on it."""
    contender, inp = CONTENDERS[name], study.read()
    gc.collect()
    began = time.perf_counter()
    seg = contender.seg(inp, kind)
    file = encode(seg)
    seconds = time.perf_counter() - began
    pixels = int(seg.NumberOfFrames) * int(seg.Rows) * int(seg.Columns)
    uncompressed = len(file) - len(seg.PixelData) + pixels
    yield Run(kind, name, seconds, len(file), uncompressed, len(zlib.compress(file)) if kind == "binary" else 0)
    for report, listed in REPORTS.items() if kind == "binary" else ():
        gc.collect()
        began = time.perf_counter()
        file = encode(contender.sr(inp, seg, listed))
        yield Run(report, name, time.perf_counter() - began, len(file), len(file))


def figures(runs: list[list[Run]]) -> list[Figure]:
    """Compare each kind, and segmentation and report together, which is what is asked."""
    found = [
        Figure(kind, _seconds(runs, kind, "Overread"), _seconds(runs, kind, "highdicom")) for kind in (*KINDS, *REPORTS)
    ]
    binary, _, _, report, _ = found
    ours = tuple(a + b for a, b in zip(binary.ours, report.ours, strict=True))
    theirs = tuple(a + b for a, b in zip(binary.theirs, report.theirs, strict=True))
    return [*found, Figure("binary + sr", ours, theirs)]


def _seconds(runs: list[list[Run]], kind: str, name: str) -> tuple[float, ...]:
    return tuple(run.seconds for found in runs for run in found if (run.kind, run.contender) == (kind, name))


def as_json(runs: list[list[Run]], plan: Mapping[str, Any]) -> dict[str, Any]:
    """Give figures and sizes as JSON has them."""
    sizes = {run.kind: run for run in runs[0] if run.contender == "Overread"}
    return {
        "plan": dict(plan),
        "times": {
            figure.kind: {
                "ours_s": round(statistics.median(figure.ours), 3),
                "highdicom_s": round(statistics.median(figure.theirs), 3),
                "ratio": round(figure.ratio, 3),
                "ratios": [round(ratio, 3) for ratio in figure.ratios],
                "met": None if figure.kind == BARE else figure.ratio <= SLOWEST,
            }
            for figure in figures(runs)
        },
        "sizes": {
            kind: {
                "bytes": run.size,
                "uncompressed_8_bit": run.uncompressed,
                "smaller": round(run.uncompressed / run.size, 1),
                "met": run.uncompressed / run.size >= SMALLEST,
                **({"deflated": run.deflated} if run.deflated else {}),
            }
            for kind, run in sizes.items()
            if kind in KINDS
        },
    }


def as_markdown(found: Mapping[str, Any]) -> str:
    """Give the tables for people."""
    lines = [
        "| what | Overread s | highdicom alone s | must | ratio (median) | range | met |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind, row in found["times"].items():
        low, high = min(row["ratios"]), max(row["ratios"])
        lines.append(
            f"| {kind} | {row['ours_s']:.3f} | {row['highdicom_s']:.3f} | {'' if row['met'] is None else ASKED} "
            f"| {row['ratio']:.2f}x | {low:.2f} to {high:.2f} | {MET[row['met']]} |"
        )
    lines += ["", "| what | bytes | 8 bits a pixel | must | reached | met |", "| --- | --- | --- | --- | --- | --- |"]
    for kind, row in found["sizes"].items():
        lines.append(
            f"| {kind} | {row['bytes']} | {row['uncompressed_8_bit']} | at least {SMALLEST:g}x smaller "
            f"| {row['smaller']:.1f}x | {MET[row['met']]} |"
        )
        if "deflated" in row:
            ratio = row["uncompressed_8_bit"] / row["deflated"]
            lines.append(f"| {kind}, deflated | {row['deflated']} | {row['uncompressed_8_bit']} | | {ratio:.1f}x | |")
    return "\n".join(lines)
