from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.decide.completeness import SETTLE_SECONDS, Evidence, Expected, Outcome, Policy, judge

T0 = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
POLICY = Policy(quiet_seconds=10, release_quiet_seconds=3, incomplete_seconds=600)


def after(seconds: float) -> dt.datetime:
    return T0 + dt.timedelta(seconds=seconds)


def mpps(count: int | None, here: int, *, final: bool = True, at: float = 0.0, word: str = "COMPLETED") -> Expected:
    return Expected("mpps", after(at), count, here, final, word if final else "IN PROGRESS")


def test_a_study_is_not_whole_while_instances_may_still_come() -> None:
    verdict = judge(Evidence(T0), POLICY, after(9.9))
    assert verdict.outcome is Outcome.WAITING
    assert verdict.due_at == after(10)


def test_quiet_after_the_last_instance_makes_it_whole() -> None:
    verdict = judge(Evidence(T0), POLICY, after(10))
    assert verdict.complete
    assert verdict.timed
    assert verdict.reason == "no instance for 10 s"


def test_after_release_a_shorter_quiet_is_enough() -> None:
    evidence = Evidence(T0, released_at=after(1))
    assert not judge(evidence, POLICY, after(3.9)).complete
    verdict = judge(evidence, POLICY, after(4))
    assert verdict.complete
    assert verdict.reason == "association released, no instance for 3 s"


def test_a_release_before_the_last_instance_says_nothing() -> None:
    assert not judge(Evidence(after(5), released_at=T0), POLICY, after(9)).complete


def test_a_late_release_does_not_prolong_the_wait() -> None:
    assert judge(Evidence(T0, released_at=after(9)), POLICY, after(10)).complete


def test_a_finished_procedure_step_with_all_its_instances_completes_at_once() -> None:
    evidence = Evidence(T0, received=120, expected=(mpps(120, 120, at=1),))
    assert not judge(evidence, POLICY, after(1.4)).complete
    verdict = judge(evidence, POLICY, after(1 + SETTLE_SECONDS))
    assert verdict.complete
    assert not verdict.timed
    assert verdict.reason == "MPPS COMPLETED, 120 of 120 instances"


def test_a_number_that_the_source_told_completes_at_once_when_it_is_reached() -> None:
    evidence = Evidence(T0, received=9, expected=(Expected("query", after(-5), 9, 9),))
    verdict = judge(evidence, POLICY, after(SETTLE_SECONDS))
    assert verdict.complete
    assert verdict.reason == "C-FIND of the source, 9 of 9 instances"


def test_a_notification_that_may_not_be_the_last_shortens_the_wait_and_does_not_end_it() -> None:
    evidence = Evidence(T0, received=9, expected=(Expected("ian", T0, 9, 9, final=False),))
    assert judge(evidence, POLICY, after(SETTLE_SECONDS)).outcome is Outcome.WAITING
    verdict = judge(evidence, POLICY, after(3))
    assert verdict.complete
    assert verdict.reason == "instance availability notification, 9 of 9 instances"


def test_a_source_that_knows_fewer_instances_than_came_does_not_end_the_wait() -> None:
    evidence = Evidence(T0, received=121, expected=(mpps(120, 120),))
    assert judge(evidence, POLICY, after(9.9)).outcome is Outcome.WAITING
    verdict = judge(evidence, POLICY, after(10))
    assert verdict.complete
    assert verdict.reason == "no instance for 10 s; MPPS COMPLETED, 120 of 120 instances"


def test_what_was_announced_and_is_not_here_keeps_a_study_from_being_whole() -> None:
    evidence = Evidence(T0, released_at=after(1), received=100, expected=(mpps(120, 100),))
    verdict = judge(evidence, POLICY, after(599.9))
    assert verdict.outcome is Outcome.WAITING
    assert verdict.due_at == after(600)


def test_it_is_incomplete_when_nothing_came_for_long_and_the_reason_says_how_many_lack() -> None:
    evidence = Evidence(T0, received=100, expected=(mpps(120, 100),))
    verdict = judge(evidence, POLICY, after(600))
    assert verdict.outcome is Outcome.INCOMPLETE
    assert not verdict.complete
    assert verdict.reason == "MPPS COMPLETED, 100 of 120 instances; no instance for 600 s"
    assert evidence.announced == 120


def test_an_unfinished_procedure_step_is_waited_for_even_if_all_it_names_is_here() -> None:
    evidence = Evidence(T0, received=20, expected=(mpps(20, 20, final=False),))
    assert judge(evidence, POLICY, after(599)).outcome is Outcome.WAITING
    assert judge(evidence, POLICY, after(600)).outcome is Outcome.INCOMPLETE
    assert evidence.announced is None


def test_a_finished_step_that_names_nothing_says_nothing() -> None:
    evidence = Evidence(T0, received=20, expected=(mpps(None, 0, word="DISCONTINUED"),))
    assert judge(evidence, POLICY, after(9.9)).outcome is Outcome.WAITING
    assert judge(evidence, POLICY, after(10)).reason == "no instance for 10 s"


def test_the_instances_that_a_source_did_not_name_count_beside_those_that_lack() -> None:
    assert Evidence(T0, received=13, expected=(mpps(120, 10),)).announced == 123


def test_every_source_must_be_satisfied() -> None:
    evidence = Evidence(T0, received=120, expected=(mpps(120, 120), Expected("query", T0, 130, 120)))
    assert judge(evidence, POLICY, after(500)).outcome is Outcome.WAITING
    assert judge(evidence, POLICY, after(600)).reason == (
        "C-FIND of the source, 120 of 130 instances; no instance for 600 s"
    )


def test_a_person_has_the_last_word_until_more_instances_come() -> None:
    evidence = Evidence(T0, received=100, expected=(mpps(120, 100),), person_at=after(2))
    verdict = judge(evidence, POLICY, after(2))
    assert verdict.complete
    assert verdict.reason == "released by hand; MPPS COMPLETED, 100 of 120 instances"
    assert not judge(dataclasses.replace(evidence, last_instance_at=after(3)), POLICY, after(5)).complete


def test_a_source_that_pauses_is_waited_for_longer_and_the_reason_says_so() -> None:
    verdict = judge(Evidence(T0, learned_seconds=24.0), POLICY, after(24))
    assert verdict.complete
    assert verdict.due_at == after(24)
    assert verdict.reason == "no instance for 24 s (its source pauses; 10 s are configured)"


def test_pauses_that_were_learned_hold_after_a_release_too_counted_from_the_instance() -> None:
    evidence = Evidence(T0, released_at=after(2), learned_seconds=8.0)
    verdict = judge(evidence, POLICY, after(8))
    assert verdict.due_at == after(8)
    assert verdict.reason == "association released, no instance for 8 s (its source pauses; 3 s are configured)"
    assert judge(dataclasses.replace(evidence, learned_seconds=1.0), POLICY, after(5)).reason == (
        "association released, no instance for 3 s"
    )


SECONDS = st.floats(0, 700)
COUNTS = st.integers(0, 5)
EXPECTED = st.builds(
    lambda source, at, count, here, final: Expected(source, after(at), count, min(here, count or 0), final),
    st.sampled_from(["mpps", "ian", "query"]),
    st.floats(-50, 50),
    st.none() | COUNTS,
    COUNTS,
    st.booleans(),
)
EVIDENCE = st.builds(
    Evidence,
    last_instance_at=st.just(T0),
    released_at=st.none() | st.floats(-50, 50).map(after),
    received=COUNTS,
    expected=st.lists(EXPECTED, max_size=3).map(tuple),
    learned_seconds=st.none() | st.floats(0, 120),
    person_at=st.none() | st.floats(-50, 50).map(after),
)
POLICIES = st.builds(Policy, st.floats(0, 100), st.floats(0, 100), st.floats(0.1, 600))


@given(EVIDENCE, POLICIES, SECONDS, SECONDS)
def test_for_the_same_evidence_a_verdict_stays(evidence: Evidence, policy: Policy, first: float, wait: float) -> None:
    before = judge(evidence, policy, after(first))
    later = judge(evidence, policy, after(first + wait))
    if before.outcome is not Outcome.WAITING:
        assert later == before
    assert (later.due_at, later.reason) == (before.due_at, before.reason)


@given(EVIDENCE, POLICIES, SECONDS)
def test_a_verdict_falls_exactly_at_its_due_time(evidence: Evidence, policy: Policy, wait: float) -> None:
    verdict = judge(evidence, policy, after(wait))
    assert (verdict.outcome is Outcome.WAITING) == (after(wait) < verdict.due_at)
    assert judge(evidence, policy, verdict.due_at).outcome is not Outcome.WAITING


@given(EVIDENCE, POLICIES, SECONDS)
def test_a_study_is_never_whole_while_something_lacks_unless_a_person_says_so(
    evidence: Evidence, policy: Policy, wait: float
) -> None:
    evidence = dataclasses.replace(evidence, person_at=None)
    verdict = judge(evidence, policy, after(wait))
    if evidence.lacking:
        assert not verdict.complete
        assert (verdict.outcome is Outcome.INCOMPLETE) == (after(wait) >= after(policy.incomplete_seconds))
    else:
        assert verdict.outcome is not Outcome.INCOMPLETE


@given(EVIDENCE, POLICIES, st.floats(0, 120))
def test_what_was_learned_only_lengthens_the_wait(evidence: Evidence, policy: Policy, learned: float) -> None:
    plain = judge(dataclasses.replace(evidence, learned_seconds=None), policy, T0)
    longer = judge(dataclasses.replace(evidence, learned_seconds=learned), policy, T0)
    assert longer.due_at >= plain.due_at


@given(EVIDENCE, POLICIES)
def test_numbers_that_agree_never_make_it_later(evidence: Evidence, policy: Policy) -> None:
    alone = dataclasses.replace(evidence, expected=(), person_at=None)
    agreeing = Expected("mpps", T0, 5, 5)
    confirmed = dataclasses.replace(alone, received=5, expected=(agreeing,))
    assert judge(confirmed, policy, T0).due_at <= judge(alone, policy, T0).due_at


@given(EVIDENCE, POLICIES)
def test_without_numbers_and_persons_a_study_never_waits_longer_than_its_quiet_time(
    evidence: Evidence, policy: Policy
) -> None:
    alone = dataclasses.replace(evidence, expected=(), person_at=None)
    longest = max(policy.quiet_seconds, alone.learned_seconds or 0.0)
    assert judge(alone, policy, T0).due_at <= after(longest)


@pytest.mark.parametrize("source", ["mpps", "ian", "query"])
def test_no_expectation_alone_completes_a_study_of_which_nothing_agrees(source: str) -> None:
    evidence = Evidence(T0, received=3, expected=(Expected(source, T0, 2, 2),))
    assert judge(evidence, POLICY, after(5)).outcome is Outcome.WAITING
