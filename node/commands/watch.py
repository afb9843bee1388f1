"""`overread models shadow` and `overread models drift`: how models do that run here, from the records."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from node import drift as measures
from node.commands.common import ConfigOption, JsonOption, dump, out, records, table, told
from node.records import drift as samples
from node.records import shadow as shadows


@told
def shadow(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show what ran in shadow, and how it agrees with what was published of the same series."""
    with records(config) as store, store.read() as session:
        rows = [dataclasses.asdict(row) for row in shadows.summary(session)]
    if json:
        dump(rows)
        return
    columns = ["model", "version", "jobs", "found", "compared", "agree", "differ in study"]
    for row in rows:
        row["jobs"] = ", ".join(f"{count} {state}" for state, count in sorted(row["states"].items()))
        row["differ in study"] = ", ".join(map(str, row["differ"]))
    table(columns, [[row[column] for column in columns] for row in rows])
    if any(not row["compared"] for row in rows):
        out.print("Nothing is compared where no version of the same model is published of the same series.")
    if any(row["differ"] for row in rows):
        out.print("`overread study show NUMBER` has what both found.")


@told
def drift(
    config: ConfigOption = None,
    model: Annotated[str, typer.Option(help="This model alone.")] = "",
    json: JsonOption = False,
) -> None:
    """Show how far input and answers of each model have moved on each scanner, what moved most first."""
    with records(config) as store, store.read() as session:
        rows = sorted((_moved(item) for item in samples.series(session, model)), key=_farthest)
    if json:
        dump(rows)
        return
    columns = ["model", "version", "scanner", "number", "runs", "mean", "recent_runs", "recent_mean", "index", "note"]
    table(columns, [[_cell(row[column]) for column in columns] for row in rows])


def _moved(item: samples.Series) -> dict[str, Any]:
    first = measures.window(item.reference) if item.reference else None
    last = measures.window(item.recent) if item.recent else None
    return {
        "model": item.model,
        "version": item.version,
        "scanner": item.scanner,
        "number": item.number,
        "runs": first.count if first else 0,
        "mean": first.mean if first else None,
        "sd": first.sd if first else None,
        "recent_runs": last.count if last else 0,
        "recent_mean": last.mean if last else None,
        "recent_sd": last.sd if last else None,
        "index": measures.stability_index(item.reference, item.recent),
        "needs": item.needs,
        "note": _note(item.needs),
    }


def _note(needs: int | None) -> str:
    """Say what a number lacks to be compared."""
    if needs is None:
        return "too few of the first runs had it"
    return f"needs {needs} more runs" if needs else ""


def _farthest(row: dict[str, Any]) -> tuple[Any, ...]:
    index = row["index"]
    return (0.0 if index is None else -index, *(row[key] for key in ("model", "version", "scanner", "number")))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
