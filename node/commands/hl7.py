"""`overread hl7`: messages that came in, and those that could not be used."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from node.commands.common import ConfigOption, JsonOption, dump, load, out, printable, records, table, told
from node.errors import OverreadError, StateError
from node.hl7 import ack, charset, processing
from node.hl7.message import peek
from node.records import messages, timeline
from node.records.engine import Records
from node.records.schema import Message
from node.records.states import MessageState
from node.settings import Settings

app = typer.Typer(no_args_is_help=True, help="HL7 messages: list, show, process again.")
NUMBER_MAX = (1 << 63) - 1
"""Largest number of a row, and of rows, that a database takes."""
COLUMNS = ["id", "received_at", "type", "sender", "control_id", "told", "state", "reason"]


@app.command("list")
@told
def list_messages(
    state: Annotated[MessageState | None, typer.Option(help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=NUMBER_MAX, help="At most so many, the newest.")] = 100,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List messages, newest first, without their content."""
    query = select(*(getattr(Message, column) for column in COLUMNS)).order_by(Message.id.desc()).limit(limit)
    if state is not None:
        query = query.where(Message.state == state)
    with records(config) as store, store.read() as session:
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in session.execute(query)]
    if json:
        dump(rows)
    else:
        table(COLUMNS, [[row[column] for column in COLUMNS] for row in rows])


@app.command()
@told
def show(
    message: Annotated[int, typer.Argument(min=1, max=NUMBER_MAX, help="Number of the message.")],
    content: Annotated[bool, typer.Option("--content", help="With the message itself, which is patient data.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show what became of a message; its content only with --content."""
    with records(config) as store, store.read() as session:
        data = _details(session, _find(session, message), content=content)
    if json:
        dump(data)
        return
    lines = data.pop("timeline")
    segments = data.pop("content", [])
    table(["", ""], [[key, value] for key, value in data.items()])
    table(["at", "level", "what"], [[line["at"], line["level"], line["text"]] for line in lines])
    for segment in segments:
        out.print(printable(segment), markup=False, highlight=False)


@app.command()
@told
def replay(
    message: Annotated[
        list[int] | None, typer.Argument(min=1, max=NUMBER_MAX, help="Numbers of messages that failed.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All that failed.")] = False,
    since: Annotated[str, typer.Option(help="All that failed and came since this time, as 2026-01-31T08:00.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Process kept messages again, as after a change of the configuration, in the order in which they came.

    What was stated later than a message stays as it is. Exit status 1 if one fails again, or was processed already.
    """
    if bool(message) == (failed or bool(since)):
        raise OverreadError("name messages by their numbers, or say --failed or --since: one of the two")
    settings = load(config)
    rows: list[dict[str, Any]] = []
    with records(config) as store:
        with store.read() as session:
            numbers = list(dict.fromkeys(message or ()))
            wanted = [_find(session, one).id for one in numbers] or messages.failed_since(session, _time(since))
        for number in wanted:
            rows.append(_replayed(store, settings, number, rehearse=dry_run))
            if not json:
                row, would = rows[-1], " (nothing was changed)" if dry_run else ""
                said = ", ".join(filter(None, (row["ack"], row["said"])))
                out.print(f"Message {number}: {said}{would}", markup=False, highlight=False)
    if json:
        dump(rows)
    if not all(row["used"] for row in rows):
        raise typer.Exit(1)


def _replayed(store: Records, settings: Settings, number: int, *, rehearse: bool) -> dict[str, Any]:
    """Replay one message; of one that cannot be, as it was processed meanwhile, say so, and let the others follow."""
    try:
        one = processing.replay(store, settings, number, rehearse=rehearse)
    except StateError as exc:
        return {"id": number, "ack": "", "used": False, "said": str(exc)}
    return {"id": number, "ack": ack.read(one.answer).code, "used": one.used, "said": one.said}


def _find(session: Session, number: int) -> Message:
    row = session.get(Message, number)
    if row is None:
        raise OverreadError(f"there is no message {number}: `overread hl7 list` shows their numbers")
    return row


def _time(text: str) -> dt.datetime | None:
    """Read a date or time; without an offset it is this machine's."""
    if not text:
        return None
    try:
        return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    except (ValueError, OverflowError) as exc:
        raise OverreadError("--since takes a date or time as 2026-01-31T08:00") from exc


def _details(session: Session, row: Message, *, content: bool) -> dict[str, Any]:
    data: dict[str, Any] = {column: getattr(row, column) for column in COLUMNS}
    data["state"] = row.state.value
    data |= {"peer": row.peer, "bytes": len(row.raw), "answer": ack.read(row.ack).code if row.ack else ""}
    data["timeline"] = [
        {"at": line.at.isoformat(timespec="milliseconds"), "kind": line.kind, "level": line.level, "text": line.text}
        for line in timeline.of_message(session, row.id)
    ]
    if content:
        text = charset.lenient(row.raw, peek(row.raw).charset)
        data["content"] = [line for line in re.split(r"[\r\n]+", text) if line]
    return data
