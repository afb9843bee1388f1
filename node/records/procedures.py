"""Performed procedure steps (MPPS, PS3.4 annex F): what scanners say they do, and what that makes a study expect.

Patients are named in these messages; nothing of that is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from node.errors import StateError
from node.records import expectations, timeline
from node.records.schema import ProcedureStep, Study, now
from node.records.states import ProcedureStepState, check

SOURCE = "mpps"


@dataclass(frozen=True, slots=True)
class Change:
    """What an N-SET says; None where it says nothing."""

    state: ProcedureStepState | None = None
    instances: Sequence[str] | None = None


def find(session: Session, uid: str) -> ProcedureStep | None:
    """Return the step of that SOP Instance UID, held against other writers until the transaction ends."""
    return session.scalars(select(ProcedureStep).where(ProcedureStep.uid == uid).with_for_update()).first()


def create(
    session: Session, uid: str, studies: Sequence[str], *, calling: str, modality: str, instances: Sequence[str] = ()
) -> ProcedureStep | None:
    """Enter a step that began; None if there is one of this UID already."""
    step = ProcedureStep(
        uid=uid,
        calling_ae_title=calling,
        modality=modality,
        state=ProcedureStepState.IN_PROGRESS,
        studies=list(dict.fromkeys(studies)),
        instances=list(instances),
    )
    try:
        with session.begin_nested():
            session.add(step)
    except IntegrityError:
        return None
    _tell(session, step)
    return step


def update(session: Session, step: ProcedureStep, change: Change) -> None:
    """Enter what a step says now. A list of instances takes the place of the one before, as a Sequence does.

    Raises
    ------
    StateError
        If the step is over: it may no longer be updated (PS3.4 F.7.2.2.3).
    """
    if step.state is not ProcedureStepState.IN_PROGRESS:
        raise StateError("the procedure step is over")
    before = step.state
    if change.state is not None:
        check(before, change.state)
        step.state = change.state
    if change.instances is not None:
        step.instances = list(change.instances)
    step.updated_at = now()
    _tell(session, step, quiet=step.state is before)


def _tell(session: Session, step: ProcedureStep, *, quiet: bool = False) -> None:
    """Pass a step on to the studies it belongs to.

    Nothing in a step says which of its series belong to which of several studies (PS3.17 annex K, group case): then the
    studies learn that it is over and not what it made.
    """
    final = step.state is not ProcedureStepState.IN_PROGRESS
    instances = step.instances if len(step.studies) == 1 else []
    for uid in step.studies:
        expectations.expect(
            session, uid, SOURCE, step.uid, count=len(instances) or None, instances=instances, final=final
        )
        if not quiet:
            _line(session, step, uid)


def _line(session: Session, step: ProcedureStep, study_uid: str) -> None:
    kinds = {
        ProcedureStepState.IN_PROGRESS: ("mpps.started", "has begun"),
        ProcedureStepState.COMPLETED: ("mpps.completed", "is completed"),
        ProcedureStepState.DISCONTINUED: ("mpps.discontinued", "was discontinued"),
    }
    kind, verb = kinds[step.state]
    study = session.scalars(select(Study).where(Study.uid == study_uid)).first()
    named = f"; instances named: {len(step.instances)}" if step.instances else ""
    source = f" of {step.calling_ae_title}" if step.calling_ae_title else ""
    timeline.add(session, kind, f"A procedure step{source} {verb}{named}.", study=study)
