"""`overread demo`: a real node in a simulated hospital; one study from order to report, in front of your eyes."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from node.commands.common import told
from node.simulator.hospital import Hospital, Outcome

console = Console(width=None if sys.stdout.isatty() else 140)

SHOWN_SEGMENTS = 40
"""Segments of the ORU that are printed; each fact of the note takes five more."""

FolderOption = Annotated[Path, typer.Option("--folder", help="Everything that the demo writes goes here.")]
TimeoutOption = Annotated[float, typer.Option(help="Seconds until the demo gives up.")]


@told
def demo(folder: FolderOption = Path("demo"), timeout: TimeoutOption = 180.0) -> None:
    """Start a node with a simulated modality, PACS and RIS, send an order, a note and a study, show what comes back.

    On a terminal it stays up until Ctrl-C. Otherwise it ends with status 0 when all was delivered, 1 with a reason if
    not.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), Hospital(folder) as hospital:
        outcome = _run(hospital, timeout)
        _show(hospital, outcome)
        if outcome.problem:
            console.print(f"[bold red]Not all was delivered:[/] {outcome.problem}")
            console.print(f"The node's log is {hospital.log}.")
            raise typer.Exit(1)
        if sys.stdin.isatty():
            console.print("\nThe node stays up; press [bold]Ctrl-C[/] to stop it.")
            while True:
                time.sleep(3600)


def _run(hospital: Hospital, timeout: float) -> Outcome:
    deadline = time.monotonic() + timeout
    with _progress() as progress:
        with _step(progress, "starting the node (broker, receivers, gateway, worker)"):
            hospital.start_node(deadline)
        with _step(progress, "RIS: order (ORM^O01) and clinical note (MDM^T02)"):
            hospital.send_order()
            hospital.send_note()
        study = hospital.make_study()
        task = progress.add_task(f"modality: C-STORE of {len(study)} MR images", total=len(study))
        hospital.send_study(lambda: progress.advance(task))
        progress.update(task, completed=len(study))
        task = progress.add_task("node: waiting for the study to be complete", total=5)
        for done, words in hospital.follow(deadline):
            progress.update(task, completed=done, description=f"node: {words}")
        return hospital.outcome()


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console
    )


@contextmanager
def _step(progress: Progress, words: str) -> Iterator[None]:
    task = progress.add_task(words, total=1)
    yield
    progress.update(task, completed=1)


def _show(hospital: Hospital, outcome: Outcome) -> None:
    _timeline(outcome)
    _findings(outcome)
    _places(hospital, outcome)
    _message(outcome)
    up = "" if sys.stdin.isatty() else " (stops now; on a terminal the node stays up)"
    console.print(f"Worklist: [link={hospital.web}]{hospital.web}[/link]{up}")


def _timeline(outcome: Outcome) -> None:
    table = Table(title="Timeline of the study", title_justify="left", box=None, header_style="bold")
    for column in ("seconds", "what happened"):
        table.add_column(column)
    for seconds, text in outcome.timeline:
        table.add_row(f"{seconds:7.2f}", Text(text))
    console.print(table)


def _findings(outcome: Outcome) -> None:
    table = Table(title="Findings", title_justify="left", box=None, header_style="bold")
    for column in ("source", "finding"):
        table.add_column(column)
    for source, text in outcome.findings:
        table.add_row(source, Text(text))
    console.print(table)


def _places(hospital: Hospital, outcome: Outcome) -> None:
    table = Table(title="Where the results lie", title_justify="left", box=None, header_style="bold")
    for column in ("object", "where"):
        table.add_column(column, no_wrap=False)
    for kind, path in outcome.places:
        table.add_row(kind, Text(_short(path)))
    table.add_row("node's records", Text(_short(hospital.root)))
    console.print(table)


def _message(outcome: Outcome) -> None:
    shown = list(outcome.message[:SHOWN_SEGMENTS])
    if left := len(outcome.message) - len(shown):
        shown.append(f"… and {left} more segments, all in the file")
    if shown:
        body = Text("\n".join(shown), overflow="fold")
        console.print(Panel(body, title="ORU^R01 that the RIS got", title_align="left", border_style="dim"))


def _short(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)
