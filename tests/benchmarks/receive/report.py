"""The runs as a Markdown table for docs/benchmarks.md, and as JSON."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import shutil
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pynetdicom

from tests.benchmarks.receive.figures import CASES, DURABLE, MEMORY_MUST, Outcome, outcomes
from tests.benchmarks.receive.measure import Run, failures

LABELS = {
    "ours": "Overread, durable",
    "ours, none": 'Overread, `durability = "none"`',
    "storescp --fork": "DCMTK storescp --fork",
    "storescp": "DCMTK storescp",
    "pynetdicom": "pynetdicom storescp",
}


def as_json(runs: Sequence[Run], settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return everything: machine, settings, figures, and each run as it was."""
    return {
        "machine": machine(folder),
        "settings": settings,
        "figures": [_figure(outcome) for outcome in outcomes(runs)],
        "memory": _memory_figure(runs),
        "failures": failures(runs),
        "runs": [_run(run) for run in runs],
    }


def machine(folder: Path) -> dict[str, Any]:
    """Return what the figures depend on: hardware, file system below ``folder``, versions."""
    information = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"model name\s*: (.+)", information)
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "cpu": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30), 1),
        "file_system": file_system(folder),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "dcmtk": _version("storescp"),
        "orthanc": _version("Orthanc"),
        "pynetdicom": pynetdicom.__version__,
        "load_at_end": round(os.getloadavg()[0], 2),
    }


def file_system(folder: Path) -> str:
    """Return the type of the file system that holds a folder."""
    path = folder.resolve()
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    return max((item for item in mounts if path.is_relative_to(item[0])), key=lambda item: len(item[0]))[1]


def _version(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        return ""
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d+(\.\d+)+", said)
    return found[0] if found else ""


def _figure(outcome: Outcome) -> dict[str, Any]:
    numbers = {key: round(getattr(outcome, key), 3) for key in ("median", "lowest", "highest")}
    return {**asdict(outcome.figure), **numbers, "pairs": outcome.pairs, "met": outcome.met}


def _memory_figure(runs: Sequence[Run]) -> dict[str, Any] | None:
    seen = [run for run in runs if run.ok and run.memory and run.idle and run.receiver == DURABLE]
    if not seen:
        return None
    highest = max(run.memory.pss for run in seen if run.memory)
    return {
        "must": MEMORY_MUST,
        "bytes_each": seen[0].bytes // seen[0].objects,
        "pss": highest,
        "anonymous": max(run.memory.anonymous for run in seen if run.memory),
        "idle_pss": max(run.idle.pss for run in seen if run.idle),
        "runs": len(seen),
        "met": highest < MEMORY_MUST,
    }


def _run(run: Run) -> dict[str, Any]:
    speed = {"mb_s": round(run.speed, 1), "objects_s": round(run.objects / run.seconds, 1)} if run.seconds else {}
    return {**asdict(run), "seconds": round(run.seconds, 4), **speed, "ok": run.ok}


def as_markdown(runs: Sequence[Run]) -> str:
    """Return the tables: what must be reached and is, the absolute values behind it, and what failed."""
    parts = [_ratio_table(outcomes(runs), _memory_figure(runs)), _absolute_table(runs)]
    if wrong := failures(runs):
        parts.append("Runs that do not count:\n" + "\n".join(f"- {text}" for text in wrong))
    return "\n\n".join(part for part in parts if part)


def _ratio_table(found: Sequence[Outcome], memory: dict[str, Any] | None) -> str:
    rows = [
        (
            item.figure.measure,
            _peer(item),
            _must(item),
            f"{item.median:.2f}x",
            f"{item.lowest:.2f} to {item.highest:.2f}",
            str(item.pairs),
            _answer(item.met),
        )
        for item in found
    ]
    if memory:
        megabytes = {name: f"{memory[name] / 1e6:.0f}" for name in ("pss", "anonymous", "idle_pss")}
        reached = f"{megabytes['pss']} MB ({megabytes['anonymous']} of it anonymous; {megabytes['idle_pss']} when idle)"
        under = f"under {MEMORY_MUST / 1e6:.0f} MB"
        size = f"{memory['bytes_each'] / 1e9:.2g} GB"
        title = f"memory (PSS of all processes) while {size} arrive on each of 4 associations"
        rows.append((title, "", under, reached, "", str(memory["runs"]), _answer(memory["met"])))
    return _table(("measure", "peer", "must", "reached (median)", "range", "pairs", "met"), rows)


def _peer(outcome: Outcome) -> str:
    figure = outcome.figure
    own = "itself" if figure.receiver == DURABLE else f"{LABELS[figure.receiver]}, itself"
    return own if figure.peer_case else LABELS.get(figure.peer, figure.peer)


def _must(outcome: Outcome) -> str:
    figure = outcome.figure
    if figure.must is None:
        return ""
    return f"at {'most' if figure.at_most else 'least'} {figure.must:g}x"


def _answer(met: bool | None) -> str:
    return {True: "yes", False: "**no**", None: ""}[met]


def _absolute_table(runs: Sequence[Run]) -> str:
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if run.ok:
            groups.setdefault((run.case, run.receiver), []).append(run)
    rows = [
        (
            CASES[case].title,
            LABELS.get(receiver, receiver),
            f"{_median(run.speed for run in found):.0f}",
            f"{_median(run.objects / run.seconds for run in found):.0f}",
            f"{_median(run.cpu_per_gb(without='indexer') for run in found):.2f}",
            _indexer(found),
            f"{_median(run.elsewhere for run in found):.2f}",
        )
        for (case, receiver), found in sorted(groups.items(), key=lambda item: list(CASES).index(item[0][0]))
    ]
    heads = ("case", "receiver", "MB/s", "objects/s", "CPU s/GB", "indexer CPU s/GB, seconds behind", "other load")
    return _table(heads, rows) if rows else ""


def _indexer(runs: Sequence[Run]) -> str:
    behind = [run.indexed_after for run in runs if run.indexed_after is not None]
    if not behind:
        return ""
    used = _median(run.cpu_per_gb() - run.cpu_per_gb(without="indexer") for run in runs)
    return f"{used:.2f}, {statistics.median(behind):.1f}"


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)
