"""`overread study identity`: studies whose images contradict what the record says of their patient."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from node.commands.common import ConfigOption, JsonOption, dump, out, records, table, told
from node.commands.study import StudyArgument, find
from node.records import identity
from node.records.patients import WORDS
from node.records.schema import IdentityConflict, Study

app = typer.Typer(no_args_is_help=True, help="Studies whose patient is in question: list, decide.")


class Decision(StrEnum):
    """What a person may decide."""

    SAME_PERSON = identity.SAME_PERSON
    OTHER_PERSON = identity.OTHER_PERSON


@app.command("list")
@told
def list_conflicts(
    settled: Annotated[bool, typer.Option("--all", help="Also those that are settled.")] = False,
    content: Annotated[
        bool, typer.Option("--content", help="With what either side says, which is patient data.")
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List studies whose images contradict the record, oldest first. Until it is settled each is analysed alone."""
    with records(config) as store, store.read() as session:
        found = identity.all_conflicts(session) if settled else identity.open_conflicts(session)
        rows = [_row(session, one, content=content) for one in found]
    if json:
        dump(rows)
        return
    columns = ["study", "uid", "attributes", "found_at", "resolution", *(["images", "record"] if content else [])]
    table(columns, [[_cell(row[column]) for column in columns] for row in rows])


@app.command()
@told
def resolve(
    study: StudyArgument,
    decision: Annotated[Decision, typer.Argument(help="Whose the study is: the patient's that it names, or not.")],
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Decide whose a study is; its reports are looked at again. One that is another person's stays alone."""
    with records(config) as store, store.write() as session:
        row = identity.resolve(session, find(session, study), decision.value)
        data = _row(session, row, content=False)
    if json:
        dump(data)
    else:
        out.print(f"Study {data['study']}: {data['resolution']}. Its reports are looked at again.")


def _row(session: Session, row: IdentityConflict, *, content: bool) -> dict[str, Any]:
    study = session.get_one(Study, row.study_fk)
    data: dict[str, Any] = {
        "study": study.id,
        "uid": study.uid,
        "attributes": row.attributes,
        "found_at": row.found_at,
        "resolution": row.resolution or "open",
        "resolved_at": row.resolved_at,
    }
    if content:
        data["images"] = {WORDS[key]: value for key, value in row.dicom.items() if key in WORDS}
        data["record"] = {WORDS[key]: values for key, values in identity.stated_of(session, study).items() if values}
    return data


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, dict):
        return "; ".join(f"{key} {_cell(said)}" for key, said in value.items())
    return value
