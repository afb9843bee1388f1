"""`overread hl7`: messages that came in, and those that could not be used."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy import select

from node.commands.common import ConfigOption, JsonOption, dump, load, out, records, table, told
from node.errors import OverreadError
from node.hl7 import ack, inbound
from node.records.schema import Message
from node.records.states import MessageState

app = typer.Typer(no_args_is_help=True, help="HL7 messages: list, process again.")


@app.command("list")
@told
def list_messages(
    state: Annotated[MessageState | None, typer.Option(help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 100,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List messages, newest first, without their content."""
    columns = ["id", "received_at", "type", "sender", "control_id", "state", "reason"]
    query = select(*(getattr(Message, column) for column in columns)).order_by(Message.id.desc()).limit(limit)
    if state is not None:
        query = query.where(Message.state == state)
    with records(config) as store, store.read() as session:
        rows = [dict(zip(columns, row, strict=True)) for row in session.execute(query)]
    if json:
        dump(rows)
    else:
        table(columns, [[row[column] for column in columns] for row in rows])


@app.command()
@told
def replay(
    message: Annotated[int, typer.Argument(help="Number of a message that failed.")], config: ConfigOption = None
) -> None:
    """Process a kept message again, as after a change of the configuration. Exit status 1 if it fails again."""
    settings = load(config)
    with records(config) as store:
        with store.read() as session:
            if session.get(Message, message) is None:
                raise OverreadError(f"there is no message {message}: `overread hl7 list` shows their numbers")
        answer = ack.read(inbound.replay(store, settings, message))
    out.print(f"Message {message}: {answer.code}")
    if answer.code not in ("AA", "CA"):
        raise typer.Exit(1)
