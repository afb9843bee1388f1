from __future__ import annotations

from itertools import product

import pytest

from node.errors import StateError
from node.records.states import (
    TRANSITIONS,
    CommitmentState,
    DeliveryState,
    JobState,
    MessageState,
    NoteState,
    ProcedureStepState,
    StudyState,
    check,
)

KINDS = (StudyState, JobState, DeliveryState, MessageState, NoteState, CommitmentState, ProcedureStepState)


def test_every_state_has_its_row_in_the_table() -> None:
    assert {kind: set(rows) for kind, rows in TRANSITIONS.items()} == {kind: set(kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_exists_exactly_if_the_table_has_it(kind: type[StudyState]) -> None:
    for before, after in product(kind, kind):
        if after in TRANSITIONS[kind][before]:
            check(before, after)
        else:
            with pytest.raises(StateError):
                check(before, after)


def test_an_accepted_object_is_sent_again_only_if_it_is_not_committed_and_a_committed_one_never() -> None:
    assert TRANSITIONS[DeliveryState][DeliveryState.ACCEPTED].isdisjoint({DeliveryState.SENDING, DeliveryState.QUEUED})
    assert not TRANSITIONS[DeliveryState][DeliveryState.COMMITTED]


@pytest.mark.parametrize("kind", KINDS)
def test_no_state_leads_into_another_kind(kind: type[StudyState]) -> None:
    assert all(isinstance(after, kind) for before in kind for after in TRANSITIONS[kind][before])


def test_a_state_of_another_kind_with_the_same_word_is_no_step() -> None:
    with pytest.raises(StateError):
        check(StudyState.ANALYSING, JobState.DONE)
