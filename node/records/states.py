"""States of studies, jobs, deliveries, messages and what modalities ask and tell, and which steps between them exist.

The table is the truth: :func:`check` refuses a step that is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from node.errors import StateError

Level = Literal["info", "warning", "error"]
"""How much a line of the timeline matters."""


class StudyState(StrEnum):
    """Where a study stands."""

    RECEIVING = "receiving"
    INCOMPLETE = "incomplete"  # expected instances did not come; it waits for them, or for a person
    ANALYSING = "analysing"
    DONE = "done"
    UNWANTED = "unwanted"  # complete, and no rule wants it
    FAILED = "failed"  # at least one of its jobs failed for good


class JobState(StrEnum):
    """Where a job (one model on one series) stands."""

    QUEUED = "queued"
    RUNNING = "running"
    INFERRED = "inferred"  # prediction durable, results to be built
    DONE = "done"
    DECLINED = "declined"  # the model refuses the input, with a reason: a result
    FAILED = "failed"
    SUPERSEDED = "superseded"  # newer inputs took its place


class DeliveryState(StrEnum):
    """Where one result on its way to one destination stands."""

    QUEUED = "queued"
    SENDING = "sending"
    ACCEPTED = "accepted"  # the other side said that it has it
    COMMITTED = "committed"  # and that it keeps it safely: storage commitment
    RETRYING = "retrying"  # not taken, or not kept; sent again at a known time
    FAILED = "failed"  # given up; can be retried by hand


TAKEN = frozenset({DeliveryState.ACCEPTED, DeliveryState.COMMITTED})
"""States of a delivery that the other side has."""


class MessageState(StrEnum):
    """Where an HL7 message that came in stands."""

    RECEIVED = "received"
    PROCESSED = "processed"
    FAILED = "failed"


class NoteState(StrEnum):
    """Where a note stands."""

    QUEUED = "queued"
    ANALYSED = "analysed"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"  # cancelled or replaced by its author; kept, and used for nothing


class VisitState(StrEnum):
    """Where a patient's visit stands."""

    EXPECTED = "expected"  # ADT^A05
    OPEN = "open"  # A01, A04; again after A13
    CLOSED = "closed"  # A03
    CANCELLED = "cancelled"  # A11


class CommitmentState(StrEnum):
    """Where a request for storage commitment stands."""

    REQUESTED = "requested"
    RETRYING = "retrying"  # the requester did not take the report yet
    REPORTED = "reported"
    FAILED = "failed"  # the report was given up; the requester may ask again


class ProcedureStepState(StrEnum):
    """Where a performed procedure step stands: Performed Procedure Step Status (PS3.4 table F.7.2-1)."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


_S, _J, _D, _M, _N = StudyState, JobState, DeliveryState, MessageState, NoteState
_C, _P = CommitmentState, ProcedureStepState

# By kind first: members of different string enums are equal, and hash alike, where their values are.
TRANSITIONS: Mapping[type[StrEnum], Mapping[StrEnum, frozenset[StrEnum]]] = {
    StudyState: {
        _S.RECEIVING: frozenset({_S.ANALYSING, _S.UNWANTED, _S.INCOMPLETE}),
        _S.INCOMPLETE: frozenset({_S.RECEIVING, _S.ANALYSING, _S.UNWANTED}),
        _S.ANALYSING: frozenset({_S.DONE, _S.FAILED, _S.RECEIVING}),
        _S.DONE: frozenset({_S.RECEIVING, _S.ANALYSING}),
        _S.UNWANTED: frozenset({_S.RECEIVING, _S.ANALYSING}),
        _S.FAILED: frozenset({_S.RECEIVING, _S.ANALYSING}),
    },
    JobState: {
        _J.QUEUED: frozenset({_J.RUNNING, _J.SUPERSEDED, _J.FAILED}),
        _J.RUNNING: frozenset({_J.INFERRED, _J.DECLINED, _J.FAILED, _J.QUEUED, _J.SUPERSEDED}),
        _J.INFERRED: frozenset({_J.DONE, _J.FAILED, _J.SUPERSEDED}),
        _J.DONE: frozenset({_J.INFERRED, _J.SUPERSEDED}),
        _J.DECLINED: frozenset({_J.SUPERSEDED, _J.QUEUED}),
        _J.FAILED: frozenset({_J.QUEUED, _J.SUPERSEDED}),
        _J.SUPERSEDED: frozenset(),
    },
    DeliveryState: {
        _D.QUEUED: frozenset({_D.SENDING}),
        _D.SENDING: frozenset({_D.ACCEPTED, _D.RETRYING, _D.FAILED, _D.QUEUED}),
        _D.RETRYING: frozenset({_D.SENDING, _D.FAILED, _D.QUEUED}),
        _D.FAILED: frozenset({_D.QUEUED}),
        _D.ACCEPTED: frozenset({_D.COMMITTED, _D.RETRYING, _D.FAILED}),
        _D.COMMITTED: frozenset(),
    },
    MessageState: {
        _M.RECEIVED: frozenset({_M.PROCESSED, _M.FAILED}),
        _M.FAILED: frozenset({_M.PROCESSED, _M.RECEIVED}),
        _M.PROCESSED: frozenset(),
    },
    NoteState: {
        _N.QUEUED: frozenset({_N.ANALYSED, _N.FAILED, _N.WITHDRAWN}),
        _N.FAILED: frozenset({_N.QUEUED, _N.ANALYSED, _N.WITHDRAWN}),
        _N.ANALYSED: frozenset({_N.QUEUED, _N.WITHDRAWN}),
        _N.WITHDRAWN: frozenset({_N.QUEUED}),  # its author sent it again
    },
    CommitmentState: {
        _C.REQUESTED: frozenset({_C.REPORTED, _C.RETRYING, _C.FAILED}),
        _C.RETRYING: frozenset({_C.REPORTED, _C.RETRYING, _C.FAILED, _C.REQUESTED}),
        _C.REPORTED: frozenset({_C.REQUESTED}),
        _C.FAILED: frozenset({_C.REQUESTED}),
    },
    ProcedureStepState: {
        _P.IN_PROGRESS: frozenset({_P.IN_PROGRESS, _P.COMPLETED, _P.DISCONTINUED}),
        _P.COMPLETED: frozenset(),
        _P.DISCONTINUED: frozenset(),
    },
}


def check(before: StrEnum, after: StrEnum) -> None:
    """Raise :class:`~node.errors.StateError` unless ``before`` → ``after`` is a step of the table."""
    if type(after) is not type(before) or after not in TRANSITIONS[type(before)][before]:
        raise StateError(f"{type(before).__name__}: no step from {before.value} to {after.value}")
