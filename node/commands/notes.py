"""`overread notes`: what notes state, how spans are asserted, and training and measuring the engines.

The engines are in the models' room; :mod:`node.cli` brings them, so that nothing of it is imported here.
"""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from node.commands.common import ConfigOption, JsonOption, dump, err, load, table, told
from node.errors import InputError, OverreadError

CHUNK = 512
"""Lines that are asserted at a time: enough for a transformer's batches, few enough to show that it goes on."""

FileArgument = Annotated[typer.FileBinaryRead, typer.Argument(help="A file; - for standard input.")]
EngineOption = Annotated[
    str | None, typer.Option("--engine", help="rules, transformer or naive-bayes. Default: notes.engine.")
]
ModelOption = Annotated[
    Path | None, typer.Option("--model", help="Folder of an engine that was trained. Default: notes.model.")
]
DataOption = Annotated[
    Path, typer.Option("--data", exists=True, file_okay=False, help="Folder of text-negex and text-mts-dialog.")
]


@dataclass(frozen=True)
class Rooms:
    """What the composition root brings of the models' room.

    Parameters
    ----------
    engines
        :mod:`models.notes.engines`.
    service
        :mod:`models.notes.engines_service`.
    training
        :mod:`models.training.notes`.
    error
        What these raise on purpose.
    """

    engines: Any
    service: Any
    training: Any
    error: type[Exception]


@dataclass(frozen=True)
class _Desk:
    """The rooms, brought when a command needs them."""

    bring: Callable[[], Rooms]

    @contextmanager
    def open(self) -> Iterator[Rooms]:
        """Give the rooms; their errors become one line of ours."""
        rooms = self.bring()
        try:
            yield rooms
        except rooms.error as exc:
            raise OverreadError(str(exc)) from exc


def commands(bring: Callable[[], Rooms]) -> typer.Typer:
    """Give the commands of `overread notes` over the rooms that ``bring`` brings."""
    app = typer.Typer(no_args_is_help=True, help="Notes: analyse texts, assert spans, train and measure engines.")
    desk = _Desk(bring)
    _reading(app, desk)
    _learning(app, desk)
    return app


def _reading(app: typer.Typer, desk: _Desk) -> None:
    @app.command()
    @told
    def analyze(
        file: FileArgument,
        engine: EngineOption = None,
        model: ModelOption = None,
        config: ConfigOption = None,
        json: JsonOption = False,
    ) -> None:
        """Show the facts that notes state, where, and how.

        FILE is text, or JSON: {"text": ...}, or a list of such objects or of strings. UTF-8.
        """
        texts, several = read_texts(file.read())
        with desk.open() as rooms:
            chosen = _engine(rooms, engine, model, config)
            found = [rooms.service.analysis(chosen, text) for text in _shown(texts)]
        if json:
            dump(found if several else found[0])
        else:
            _print(found, several)

    @app.command("assert")
    @told
    def assert_spans(
        file: Annotated[
            typer.FileBinaryRead,
            typer.Option("--jsonl", help='Lines {"text", "start", "end"}; - for standard input.'),
        ],
        engine: EngineOption = None,
        model: ModelOption = None,
        config: ConfigOption = None,
    ) -> None:
        """Say how each text states the concept at text[start:end], one JSON line for each line, in order.

        A line that cannot be read is answered by {"error": ...} in its place and told on stderr; the exit status is 1.
        """
        with desk.open() as rooms:
            chosen = _engine(rooms, engine, model, config)
            if not _answer(rooms, chosen, file):
                raise typer.Exit(1)


def _learning(app: typer.Typer, desk: _Desk) -> None:
    @app.command()
    @told
    def train(
        engine: Annotated[str, typer.Option("--engine", help="transformer, naive-bayes, or sections (linear).")],
        data: DataOption,
        out_folder: Annotated[Path, typer.Option("--out", help="Where the engine goes; notes.model names it.")],
        seed: Annotated[int, typer.Option(help="Seed of everything that is random.")] = 0,
        json: JsonOption = False,
    ) -> None:
        """Train an engine on the training parts of the corpora, and measure it on what was held out."""
        with desk.open() as rooms:
            report = rooms.training.train(engine, data, out_folder, seed=seed, progress=_terminal())
        _report(report, json)

    @app.command()
    @told
    def evaluate(
        data: DataOption,
        engine: EngineOption = None,
        model: ModelOption = None,
        config: ConfigOption = None,
        json: JsonOption = False,
    ) -> None:
        """Measure an engine on the parts of the corpora that no engine is trained on."""
        with desk.open() as rooms:
            report = rooms.training.evaluate(_engine(rooms, engine, model, config), data, progress=_terminal())
        _report(report, json)

    @app.command()
    @told
    def compare(
        data: DataOption,
        seeds: Annotated[int, typer.Option(min=1, max=20, help="Divisions into folds, each another seed.")] = 3,
        transformer: Annotated[bool, typer.Option(help="Train and measure the transformer too (minutes).")] = True,
        json: JsonOption = False,
    ) -> None:
        """Train and measure every engine on the same divisions: negation, section kinds, notes per second."""
        with desk.open() as rooms:
            report = rooms.training.compare(data, seeds=seeds, transformer=transformer, progress=_terminal())
        _report(report, json)


def read_texts(data: bytes) -> tuple[list[str], bool]:
    """Read the notes of a file, and whether they came as a list.

    Raises
    ------
    InputError
        If it is not UTF-8, or JSON without texts. What begins like JSON but is none is a text.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise InputError(f"the file is not UTF-8 text (byte {exc.start})") from exc
    if not text.lstrip().startswith(("{", "[")):
        return [text], False
    try:
        item = json_format.loads(text)
    except (ValueError, RecursionError):
        return [text], False
    several = isinstance(item, list)
    return [_text(one) for one in (item if several else [item])], several


def _text(item: Any) -> str:
    text = item.get("text") if isinstance(item, dict) else item
    if not isinstance(text, str):
        raise InputError('JSON notes are {"text": "..."}, or a list of such objects or of strings')
    return text


def _engine(rooms: Rooms, name: str | None, model: Path | None, config: Path | None) -> Any:
    """Load the engine that the options name, else the configured one."""
    settings = load(config).notes
    chosen = name or settings.engine
    configured = settings.model if chosen == settings.engine else None
    return rooms.engines.load(chosen, model or configured)


def _answer(rooms: Rooms, engine: Any, file: BinaryIO) -> bool:
    """Write the answer to every line; True if all could be answered."""
    well = True
    number = 1
    with _bar("asserting", None) as advance:
        rest = _lines(file, rooms.service.MAX_BYTES + 1)
        while lines := list(islice(rest, CHUNK)):
            answers = rooms.service.assert_lines(engine, lines, number)
            sys.stdout.buffer.write(b"".join(answer.line + b"\n" for answer in answers))
            for answer in answers:
                if answer.error:
                    well = False
                    err.print(answer.error, style="red", markup=False, highlight=False)
            number += len(lines)
            advance(len(lines))
    sys.stdout.buffer.flush()
    return well


def _lines(file: BinaryIO, longest: int) -> Iterator[bytes]:
    """Yield the lines of a file; of one that is longer than ``longest`` bytes, only so much."""
    while line := file.readline(longest):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(longest)
        yield line


def _terminal() -> bool:
    return err.is_terminal


@contextmanager
def _bar(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr where it is a terminal; gives the function that moves it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=not _terminal(), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


def _shown(texts: list[str]) -> Iterator[str]:
    """Yield the texts under a bar, where there are several."""
    if len(texts) == 1:
        yield texts[0]
        return
    with _bar("analysing", len(texts)) as advance:
        for text in texts:
            yield text
            advance(1)


def _print(found: list[Mapping[str, Any]], several: bool) -> None:
    columns = ["text", "code", "concept", "section", "assertion", "quantity", "when", "side"]
    rows = [[number, *_row(fact)] for number, one in enumerate(found, start=1) for fact in one["facts"]]
    table(["note", *columns] if several else columns, rows if several else [row[1:] for row in rows])


def _row(fact: Mapping[str, Any]) -> list[Any]:
    code = f"{fact['code']['value']} ({fact['code']['scheme']})"
    said = [fact["surface"], code, fact["code"]["meaning"], fact["section"], _assertion(fact["assertion"])]
    return [*said, _quantity(fact["quantity"]), fact["when"], fact["side"]]


def _assertion(said: Mapping[str, Any]) -> str:
    how = [word for word in ("negated", "uncertain", "historical", "hypothetical") if said[word]]
    who = [] if said["experiencer"] == "patient" else [str(said["experiencer"])]
    return ", ".join([*how, *who]) or "present"


def _quantity(quantity: Mapping[str, Any] | None) -> str:
    """Write a quantity as notes do: ``<5 mm``, ``3-5 mm``."""
    if quantity is None:
        return ""
    upper = "" if quantity["upper"] is None else f"-{quantity['upper']:g}"
    unit = "" if quantity["unit"] == "1" else f" {quantity['unit']}"
    return f"{quantity['comparator']}{quantity['value']:g}{upper}{unit}"


def _report(report: Mapping[str, Any], json: bool) -> None:
    """Print a report: its tables as tables, everything else as lines of key and value."""
    if json:
        dump(report)
        return
    tables = {key: value for key, value in report.items() if isinstance(value, list)}
    table(["measure", "value"], [[key, _short(value)] for key, value in report.items() if key not in tables])
    for key, rows in tables.items():
        columns = list(dict.fromkeys(column for row in rows for column in row))
        typer.echo(f"\n{key.replace('_', ' ')}")
        table(columns, [[_short(row.get(column)) for column in columns] for row in rows])


def _short(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value
