"""What every command shares: where settings come from, how errors and results are printed."""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import DBAPIError

from node import service
from node.errors import OverreadError
from node.records.engine import Records
from node.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Configuration file. Default: OVERREAD_CONFIG, or ./overread.toml."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]

PIPED_WIDTH = 240
"""Columns of a table that is not printed on a terminal: a script or a log does not wrap."""

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

out = Console(soft_wrap=True, width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, soft_wrap=True)


def load(path: Path | None) -> Settings:
    """Return the settings and set up logging by them."""
    return service.configured(path)


@contextmanager
def records(path: Path | None) -> Iterator[Records]:
    """Open the record store of the configured node."""
    store = Records(load(path).database_url)
    store.migrate()
    try:
        yield store
    finally:
        store.close()


def told(function: Callable[P, R]) -> Callable[P, R]:
    """Turn our errors, and those of the machine, into one line on stderr and exit status 2.

    The machine's are what an administrator mends: a folder that cannot be written, a port that is taken, records that
    are no database. Everything else keeps its traceback.
    """

    @wraps(function)
    def command(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except BrokenPipeError:
            raise  # whoever read the output has seen enough; Click knows what to do
        except (OverreadError, OSError) as exc:
            said = str(exc)
        except DBAPIError as exc:
            said = f"the records cannot be used: {exc.orig}"
        err.print(f"overread: {said}", style="red", markup=False, highlight=False)
        raise typer.Exit(2)

    return command


def dump(data: Any) -> None:
    """Print JSON on stdout."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def printable(text: str) -> str:
    """Return text without what a terminal would obey: control characters, and marks that turn the direction of text."""
    return _OBEYED.sub("\ufffd", text)


def table(columns: list[str], rows: list[list[Any]]) -> None:
    """Print a table; cells are plain text, never markup, and times whole seconds."""
    from rich.text import Text

    view = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        view.add_column(column, overflow="fold")
    for row in rows:
        view.add_row(*(Text(_shown(cell)) for cell in row))
    out.print(view)


def _shown(cell: Any) -> str:
    if isinstance(cell, dt.datetime):
        return cell.isoformat(sep=" ", timespec="seconds")
    return "" if cell is None else printable(str(cell))
