"""`overread send`: files to a DICOM peer, by C-STORE, with a progress bar."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from node.commands.common import JsonOption, dump, err, out, told
from node.dicom.files import collect
from node.dicom.sender import SendOutcome, send
from node.errors import DeliveryError, OverreadError

ADDRESS = re.compile(r"(?P<ae>[^@]{1,16})@(?P<host>\[[0-9A-Fa-f:]+\]|[^:@]+):(?P<port>\d{1,5})")


def parse_address(text: str) -> tuple[str, str, int]:
    """Return AE title, host and port of ``AE@HOST:PORT``."""
    found = ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found["port"]) < 65536:
        raise OverreadError(f"{text!r} is not AE@HOST:PORT, such as ORTHANC@127.0.0.1:4242")
    return found["ae"], found["host"].strip("[]"), int(found["port"])


@told
def send_files(
    arguments: Annotated[
        list[str], typer.Argument(metavar="PATH... AE@HOST:PORT", help="Files or folders, then the peer.")
    ],
    calling: Annotated[str, typer.Option(help="Our AE title.")] = "OVERREAD",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each answer.")] = 60.0,
    json: JsonOption = False,
) -> None:
    """Send DICOM files. Exit status 1 if one was not accepted."""
    if len(arguments) < 2:
        raise OverreadError("give at least one PATH, then AE@HOST:PORT")
    ae_title, host, port = parse_address(arguments[-1])
    found = collect([_existing(path) for path in arguments[:-1]])
    if not found.files:
        raise OverreadError("there is no DICOM object with valid UIDs among the paths")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    outcomes: list[SendOutcome] = []
    with Progress(*columns, console=err, disable=json) as progress:
        task = progress.add_task(f"C-STORE to {ae_title}", total=len(found.files))
        try:
            for outcome in send(found.files, host, port, called_ae=ae_title, calling_ae=calling, timeout=timeout):
                outcomes.append(outcome)
                progress.advance(task)
        except DeliveryError as exc:
            raise OverreadError(_with_advice(exc, calling)) from exc
    _report(outcomes, found.skipped, json)


def _with_advice(error: DeliveryError, calling: str) -> str:
    """Say what to do where the peer does not let our AE title in (PS3.8 table 9-21, reason 3)."""
    if "calling ae title not recognised" not in str(error):
        return str(error)
    return f"{error}: it does not let {calling} in from here; --calling names an AE title that it knows"


def _existing(text: str) -> Path:
    path = Path(text)
    if not path.exists():
        raise OverreadError(f"{text} does not exist")
    return path


def _report(outcomes: list[SendOutcome], left_out: int, json: bool) -> None:
    refused = [outcome for outcome in outcomes if not outcome.ok]
    if json:
        dump(
            {
                "sent": len(outcomes),
                "accepted": len(outcomes) - len(refused),
                "left_out": left_out,
                "refused": [
                    {"path": str(item.path), "status": _status(item), "comment": item.comment} for item in refused
                ],
            }
        )
    else:
        for item in refused:
            err.print(f"{item.path}: {_status(item)} {item.comment}", style="red", markup=False, highlight=False)
        rest = f" {left_out} files are no DICOM objects with valid UIDs and were left out." if left_out else ""
        out.print(f"{len(outcomes) - len(refused)} of {len(outcomes)} accepted.{rest}")
    if refused:
        raise typer.Exit(1)


def _status(outcome: SendOutcome) -> str:
    return "no answer" if outcome.status is None else f"0x{outcome.status:04X}"
