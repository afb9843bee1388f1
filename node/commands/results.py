"""`overread results validate`: what validators and the AIR checklist say, as a table or JSON.

What is said comes from the workers' room as plain data; :mod:`node.cli` brings the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from node.commands.common import dump, err, out, table

app = typer.Typer(no_args_is_help=True, help="Results: validate what was built.")

SHOWN = 10
"""Lines of one kind that are shown of one object; JSON has all of them."""

Answer = Mapping[str, Any]


@contextmanager
def progress(steps: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show a bar on stderr; gives the function that moves it by one."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, disable=quiet, transient=True) as bar:
        task = bar.add_task("validating", total=steps)
        yield lambda: bar.advance(task)


def report(answer: Answer, json: bool) -> None:
    """Print the answer; exit status 1 if there is an error."""
    if json:
        dump(answer)
    else:
        _print(answer)
    if not answer["ok"]:
        raise typer.Exit(1)


def _print(answer: Answer) -> None:
    columns = ["object", "kind", "validators", "errors", "tolerated", "warnings", "AIR"]
    rows = [_row(item) for item in answer["objects"]]
    rows += [
        _row({"kind": f"{item['objects']} objects", "validators": ["dcentvfy"], **item}) for item in answer["sets"]
    ]
    table(columns, rows)
    for item in (*answer["objects"], *answer["sets"]):
        _details(item)
    _rest(answer)


def _row(item: Answer) -> list[Any]:
    counts = [len(item[key]) for key in ("errors", "tolerated", "warnings")]
    if item.get("unreadable"):
        return [item["path"], "unreadable", "", 1, 0, 0, ""]
    return [item["path"], item["kind"], ", ".join(item["validators"]) or "none", *counts, _rules(item)]


def _rules(item: Answer) -> str:
    if "air" not in item:
        return ""
    return ", ".join(dict.fromkeys(broken["rule"] for broken in item["air"])) or "ok"


def _details(item: Answer) -> None:
    lines = [f"  {item['unreadable']}"] if item.get("unreadable") else []
    lines += _shown([f"  {issue['tool']}: {issue['text']}" for issue in item["errors"]])
    lines += _shown([f"  AIR {one['rule']}: {one['text']} ({one['clause']})" for one in item.get("air", ())])
    lines += _shown([f"  tolerated: {clause}" for clause in dict.fromkeys(one["clause"] for one in item["tolerated"])])
    if lines:
        out.print(f"\n{item['path']}", markup=False, highlight=False, style="bold")
        out.print("\n".join(lines), markup=False, highlight=False)


def _shown(lines: list[str]) -> list[str]:
    more = len(lines) - SHOWN
    return lines if more <= 0 else [*lines[:SHOWN], f"  and {more} more (--json shows all)"]


def _rest(answer: Answer) -> None:
    if answer["only_compared"]:
        out.print(f"\n{answer['only_compared']} other objects were only compared with the results (--all judges them).")
    if answer["skipped"]:
        out.print(f"\n{answer['skipped']} files are no DICOM objects with valid UIDs and were left out.")
    for item in answer["missing"]:
        out.print(
            f"\n{item['validator']} is not installed (Debian: {item['package']}): what it would say is not known."
        )
