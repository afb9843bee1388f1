"""The runs as tables for docs/benchmarks.md, and as JSON."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.hl7.measure import CASES, Run
from tests.benchmarks.hl7.receivers import CLOSES, HL7APY, MODULES, OURS, PYTHON_HL7
from tests.benchmarks.receive.report import file_system

LABELS = {
    OURS: "Overread, durable, taken over behind",
    PYTHON_HL7: "python-hl7 (asyncio), nothing kept",
    HL7APY: "hl7apy MLLPServer, nothing kept",
}
RATE_MUST = 1000.0
"""Messages a second, received, durable and acknowledged, with 8 connections."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Our rate divided by a peer's in the same round: median and bounds over the rounds."""

    case: str
    peer: str
    must: float | None
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The figure."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether it reaches what it must; None where nothing is asked."""
        return None if self.must is None else self.median >= self.must


MUST: dict[tuple[str, str], float] = {("8", HL7APY): 3.0}


def ratios(runs: Sequence[Run]) -> list[Ratio]:
    """Return the ratios for which there is a round in which both runs count."""
    counted = {(run.case, run.receiver, run.round): run for run in runs if run.ok}
    found = []
    for case in CASES:
        for peer in (PYTHON_HL7, HL7APY):
            values = [
                run.rate / other.rate
                for (name, receiver, number), run in counted.items()
                if (name, receiver) == (case, OURS) and (other := counted.get((_same(case, peer), peer, number)))
            ]
            if values:
                found.append(Ratio(case, peer, MUST.get((case, peer)), tuple(values)))
    return found


def _same(case: str, peer: str) -> str:
    """Return the case of a peer that is the same: one that closes behind each answer always gets new connections."""
    return "8" if CASES[case].anew and peer in CLOSES else case


def failures(runs: Sequence[Run]) -> list[str]:
    """Return a sentence for each run that does not count."""
    return [f"{run.case}, {run.receiver}, round {run.round}: {run.error}" for run in runs if not run.ok]


def as_json(runs: Sequence[Run], settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return everything: machine, settings, figures, and each run as it was."""
    return {
        "machine": machine(folder),
        "settings": settings,
        "ratios": [{**asdict(ratio), "median": round(ratio.median, 3), "met": ratio.met} for ratio in ratios(runs)],
        "failures": failures(runs),
        "runs": [{**asdict(run), "rate": round(run.rate, 1), "takeover": run.takeover} for run in runs],
    }


def machine(folder: Path) -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "file_system": file_system(folder),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_at_end": round(os.getloadavg()[0], 2),
        **{name: _version(module) for name, module in MODULES.items()},
    }


def _version(module: str) -> str:
    try:
        return importlib.metadata.version(module)
    except importlib.metadata.PackageNotFoundError:
        return ""


def as_markdown(runs: Sequence[Run]) -> str:
    """Return the tables: rates, ratios, how the node takes messages over, and what failed."""
    parts = [_rates(runs), _ratios(runs), _takeover(runs)]
    if wrong := failures(runs):
        parts.append("Runs that do not count:\n" + "\n".join(f"- {text}" for text in wrong))
    return "\n\n".join(part for part in parts if part)


def _groups(runs: Sequence[Run]) -> list[tuple[str, str, list[Run]]]:
    keys = [(case, receiver) for case in CASES for receiver in LABELS]
    groups = [(*key, [run for run in runs if run.ok and (run.case, run.receiver) == key]) for key in keys]
    return [group for group in groups if group[2]]


def _rates(runs: Sequence[Run]) -> str:
    rows = [
        (
            CASES[case].title,
            LABELS[receiver],
            f"{_median(found, lambda run: run.rate):.0f}",
            f"{min(run.rate for run in found):.0f} to {max(run.rate for run in found):.0f}",
            f"{_median(found, lambda run: run.p50) * 1e3:.2f}",
            f"{_median(found, lambda run: run.p99) * 1e3:.2f}",
            ", ".join(_cpu(found, name) for name in found[0].cpu if name != "broker"),
            f"{_median(found, lambda run: run.others):.2f}",
        )
        for case, receiver, found in _groups(runs)
    ]
    heads = ("case", "receiver", "messages/s", "range", "p50 ms", "p99 ms", "CPU ms a message", "other load")
    return _table(heads, rows)


def _cpu(runs: Sequence[Run], name: str) -> str:
    used = _median(runs, lambda run: run.cpu[name] / run.messages * 1e3)
    return f"{used:.2f}" if len(runs[0].cpu) == 1 else f"{name} {used:.2f}"


def _ratios(runs: Sequence[Run]) -> str:
    rows = [
        (
            CASES[ratio.case].title,
            LABELS[ratio.peer],
            f"at least {ratio.must:g}x" if ratio.must else "",
            f"{ratio.median:.2f}x",
            f"{min(ratio.values):.2f} to {max(ratio.values):.2f}",
            _answer(ratio.met),
        )
        for ratio in ratios(runs)
    ]
    ours = [run for run in runs if run.ok and (run.case, run.receiver) == ("8", OURS)]
    if ours:
        rate = _median(ours, lambda run: run.rate)
        spread = f"{min(run.rate for run in ours):.0f} to {max(run.rate for run in ours):.0f}"
        must = f"at least {RATE_MUST:.0f}/s"
        rows.insert(0, (CASES["8"].title, "", must, f"{rate:.0f}/s", spread, _answer(rate >= RATE_MUST)))
    return _table(("case", "beside", "must", "reached (median)", "range", "met"), rows)


def _takeover(runs: Sequence[Run]) -> str:
    rows = [
        (
            CASES[case].title,
            str(found[0].messages),
            f"{_median(found, lambda run: run.taken or 0):.0f}",
            f"{_median(found, lambda run: run.empty_after or 0.0):.1f}",
            f"{_median(found, lambda run: run.takeover or 0.0):.0f}",
        )
        for case, receiver, found in _groups(runs)
        if receiver == OURS
    ]
    heads = ("case", "messages", "taken over at the last answer", "the rest s later", "messages/s, taken over")
    return _table(heads, rows)


def _median(runs: Sequence[Run], value: Callable[[Run], float]) -> float:
    return statistics.median(value(run) for run in runs)


def _answer(met: bool | None) -> str:
    return {True: "yes", False: "**no**", None: ""}[met]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)
