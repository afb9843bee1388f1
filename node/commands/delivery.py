"""`overread delivery`: what is on its way, and what was given up."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from node.commands.common import ConfigOption, JsonOption, dump, out, records, table, told
from node.errors import OverreadError
from node.records import results
from node.records.schema import Delivery, Result
from node.records.states import DeliveryState

app = typer.Typer(no_args_is_help=True, help="Deliveries: list, send again.")
DestinationOption = Annotated[str | None, typer.Option(help="Only those to this destination.")]
COLUMNS = (
    "id", "study", "kind", "destination", "state", "attempts", "status", "reason", "next_at", "accepted_at",
    "committed_at",
)  # fmt: skip


@app.command("list")
@told
def list_deliveries(
    state: Annotated[DeliveryState | None, typer.Option(help="Only those in this state.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that were given up.")] = False,
    destination: DestinationOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most that many.")] = 1000,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List deliveries, newest first: state, the other side's status and comment, and when it is tried again."""
    if failed and state not in (None, DeliveryState.FAILED):
        raise OverreadError("--failed is --state failed: give one of them")
    query = (
        select(Delivery)
        .options(selectinload(Delivery.result).selectinload(Result.job))
        .order_by(Delivery.id.desc())
        .limit(limit)
    )
    if failed or state is not None:
        query = query.where(Delivery.state == (DeliveryState.FAILED if failed else state))
    if destination is not None:
        query = query.where(Delivery.destination == destination)
    with records(config) as store, store.read() as session:
        rows = [_row(row) for row in session.scalars(query)]
    if json:
        dump(rows)
    else:
        table(list(COLUMNS), [[row[column] for column in COLUMNS] for row in rows])


@app.command()
@told
def retry(
    deliveries: Annotated[list[int] | None, typer.Argument(help="Numbers of deliveries.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All that were given up.")] = False,
    destination: DestinationOption = None,
    config: ConfigOption = None,
) -> None:
    """Send now what waits for another try, or was given up."""
    if bool(deliveries) == failed:
        raise OverreadError("give numbers of deliveries, or --failed for all that were given up")
    if deliveries and destination:
        raise OverreadError("--destination goes with --failed")
    with records(config) as store, store.write() as session:
        wanted = deliveries or results.given_up(session, destination or "")
        for number in wanted:
            if session.get(Delivery, number) is None:
                raise OverreadError(f"there is no delivery {number}: `overread delivery list` shows their numbers")
            results.again(session, number)
    count = len(wanted)
    out.print(f"Delivery {wanted[0]} queued again." if count == 1 else f"{count} deliveries queued again.")


def _row(row: Delivery) -> dict[str, Any]:
    values = {
        "study": row.result.job.study_fk,
        "kind": row.result.kind,
        "uid": row.result.uid,
        "state": row.state.value,
    }
    found = values | {column: getattr(row, column) for column in COLUMNS if column not in values}
    waits = row.state in results.WAITING
    return found | {"next_at": row.next_at if waits else None, "commitment_at": row.commit_at}
