"""`overread delivery`: what is on its way, and what was given up."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy import select

from node.commands.common import ConfigOption, JsonOption, dump, out, records, table, told
from node.errors import OverreadError
from node.records import results
from node.records.schema import Delivery
from node.records.states import DeliveryState

app = typer.Typer(no_args_is_help=True, help="Deliveries: list, send again.")


@app.command("list")
@told
def list_deliveries(
    state: Annotated[DeliveryState | None, typer.Option(help="Only those in this state.")] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List deliveries, newest first."""
    query = select(Delivery).order_by(Delivery.id.desc())
    if state is not None:
        query = query.where(Delivery.state == state)
    columns = ["id", "kind", "destination", "state", "attempts", "status", "reason", "next_at", "delivered_at"]
    with records(config) as store, store.read() as session:
        rows = [
            {"id": row.id, "kind": row.result.kind, "uid": row.result.uid, "state": row.state.value}
            | {column: getattr(row, column) for column in (*columns[4:], "destination")}
            for row in session.scalars(query)
        ]
    if json:
        dump(rows)
    else:
        table(columns, [[row[column] for column in columns] for row in rows])


@app.command()
@told
def retry(
    delivery: Annotated[int, typer.Argument(help="Number of a delivery that was given up.")],
    config: ConfigOption = None,
) -> None:
    """Queue a given-up delivery again."""
    with records(config) as store, store.write() as session:
        if session.get(Delivery, delivery) is None:
            raise OverreadError(f"there is no delivery {delivery}: `overread delivery list` shows their numbers")
        results.again(session, delivery)
    out.print(f"Delivery {delivery} queued again.")
