from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from node.decide.completeness import Evidence, Policy, judge

T0 = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
POLICY = Policy(quiet_seconds=10, release_quiet_seconds=3)


def after(seconds: float) -> dt.datetime:
    return T0 + dt.timedelta(seconds=seconds)


def test_a_study_is_not_whole_while_instances_may_still_come() -> None:
    verdict = judge(Evidence(T0), POLICY, after(9.9))
    assert not verdict.complete
    assert verdict.due_at == after(10)


def test_quiet_after_the_last_instance_makes_it_whole() -> None:
    verdict = judge(Evidence(T0), POLICY, after(10))
    assert verdict.complete
    assert verdict.reason == "no instance for 10 s"


def test_after_release_a_shorter_quiet_is_enough() -> None:
    evidence = Evidence(T0, released_at=after(1))
    assert not judge(evidence, POLICY, after(3.9)).complete
    verdict = judge(evidence, POLICY, after(4))
    assert verdict.complete
    assert "released" in verdict.reason


def test_a_release_before_the_last_instance_says_nothing() -> None:
    assert not judge(Evidence(after(5), released_at=T0), POLICY, after(9)).complete


def test_a_late_release_does_not_prolong_the_wait() -> None:
    evidence = Evidence(T0, released_at=after(9))
    assert judge(evidence, POLICY, after(10)).complete


@given(
    quiet=st.floats(0, 100),
    release=st.floats(0, 100),
    gap=st.one_of(st.none(), st.floats(-50, 50)),
    wait=st.floats(0, 300),
)
def test_a_verdict_is_complete_exactly_from_its_due_time_on(
    quiet: float, release: float, gap: float | None, wait: float
) -> None:
    evidence = Evidence(T0, None if gap is None else after(gap))
    policy = Policy(quiet, release)
    verdict = judge(evidence, policy, after(wait))
    assert verdict.complete == (after(wait) >= verdict.due_at)
    assert judge(evidence, policy, verdict.due_at).complete
    assert verdict.due_at <= after(quiet + 1e-5)
