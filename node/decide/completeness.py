"""When a study is whole. Pure: evidence and policy in, a verdict with its reason out.

DICOM has no "end of study" on the C-STORE path, so time is the evidence that is always there: quiet since the last
instance, and a shorter quiet once every association that carried the study was released. Better evidence, where there
is some, is a number: an MPPS (PS3.4 annex F), an Instance Availability Notification (PS3.4 annex R) and the source's
answer to a C-FIND (PS3.4 annex C) say how many instances there are. What was announced and is not here keeps a study
from being whole, however quiet it is; after a while it is incomplete. A person has the last word.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

SETTLE_SECONDS = 0.5
"""Wait after the last of the evidence where numbers agree: associations are released, lines of the timeline written."""

ENDING = frozenset({"mpps"})
"""Sources that tell when they have ended: until then the study is not whole. A notification of availability never is
the last one (PS3.4 R.3.2.1.2), so that nothing is concluded from what it does not name."""
NAMES = {"mpps": "MPPS", "ian": "instance availability notification", "query": "C-FIND of the source"}
"""What sources of expectations are called in reasons."""


class Outcome(StrEnum):
    """What a study is judged to be."""

    WAITING = "waiting"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class Policy:
    """How long to wait, in seconds."""

    quiet_seconds: float
    release_quiet_seconds: float
    incomplete_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Expected:
    """What one kind of source says of a study.

    ``count`` is how many instances it speaks of, None where it gives no number; ``here`` how many of these were
    received; ``final`` is False as long as it may speak of more. ``at`` is when it spoke last, ``word`` the state that
    it gives itself.
    """

    source: str
    at: dt.datetime
    count: int | None = None
    here: int = 0
    final: bool = True
    word: str = ""

    @property
    def lacking(self) -> bool:
        """Whether something of it is still to come."""
        return self.here < (self.count or 0) or (self.source in ENDING and not self.final)

    def agrees(self, received: int) -> bool:
        """Whether it accounts for everything that was received, and all of it was received.

        A source that speaks of fewer instances than have come does not know the whole study.
        """
        return not self.lacking and bool(self.count) and self.here == self.count == received


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one study's arrival.

    ``released_at`` is when the last association that carried the study ended; it counts only if no instance came after
    it. ``learned_seconds`` is how long to wait for a source that pauses (:mod:`node.decide.gaps`). ``person_at`` is
    when a person said that what is here will do; instances that came later undo it.
    """

    last_instance_at: dt.datetime
    released_at: dt.datetime | None = None
    received: int = 0
    expected: tuple[Expected, ...] = ()
    learned_seconds: float | None = None
    person_at: dt.datetime | None = None

    @property
    def lacking(self) -> tuple[Expected, ...]:
        """What was announced and has not come."""
        return tuple(item for item in self.expected if item.lacking)

    @property
    def announced(self) -> int | None:
        """The largest number of instances that the study must have, by what is lacking; None if that is unknown."""
        # Instances that the source did not speak of are here beside those of which it did.
        totals = [item.count + self.received - item.here for item in self.lacking if item.count]
        return max((total for total in totals if total > self.received), default=None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the study is, why, and since when (or, while it is waiting, until when to ask again).

    ``timed`` is True where time alone decided that the study is complete: no number confirms it.
    """

    outcome: Outcome
    reason: str
    due_at: dt.datetime
    timed: bool = False

    @property
    def complete(self) -> bool:
        """Whether the study is whole."""
        return self.outcome is Outcome.COMPLETE


def judge(evidence: Evidence, policy: Policy, now: dt.datetime) -> Verdict:
    """Weigh the evidence at the time ``now``.

    For the same evidence a study that is complete stays so, and one that is incomplete too.
    """
    if evidence.person_at is not None and evidence.person_at >= evidence.last_instance_at:
        reason = "; ".join(("released by hand", *map(told, evidence.lacking)))
        return _verdict(Outcome.COMPLETE, reason, evidence.person_at, now)
    if evidence.lacking:
        due = _after(evidence.last_instance_at, policy.incomplete_seconds)
        reason = "; ".join((*map(told, evidence.lacking), f"no instance for {policy.incomplete_seconds:g} s"))
        return _verdict(Outcome.INCOMPLETE, reason, due, now)
    agreeing = [item for item in evidence.expected if item.agrees(evidence.received)]
    verdicts = [
        _quiet(evidence, policy, now),
        *_released(evidence, policy, now),
        *_counted(evidence, agreeing, policy, now),
    ]
    return min(verdicts, key=lambda verdict: verdict.due_at)


def _quiet(evidence: Evidence, policy: Policy, now: dt.datetime) -> Verdict:
    """Complete because nothing comes any more."""
    seconds = max(policy.quiet_seconds, evidence.learned_seconds or 0.0)
    reason = _confirmed(_silence(seconds, policy.quiet_seconds), evidence)
    return _verdict(Outcome.COMPLETE, reason, _after(evidence.last_instance_at, seconds), now, timed=True)


def _released(evidence: Evidence, policy: Policy, now: dt.datetime) -> list[Verdict]:
    """Complete because it is quiet after a release, where there was one."""
    last, released = evidence.last_instance_at, evidence.released_at
    if released is None or released < last:
        return []
    seconds, due = policy.release_quiet_seconds, _after(released, policy.release_quiet_seconds)
    # What was learned are pauses from instance to instance: they count from the instance, not from the release.
    learned = evidence.learned_seconds or 0.0
    if _after(last, learned) > due:
        seconds, due = learned, _after(last, learned)
    reason = _confirmed(f"association released, {_silence(seconds, policy.release_quiet_seconds)}", evidence)
    return [_verdict(Outcome.COMPLETE, reason, due, now, timed=True)]


def _counted(evidence: Evidence, agreeing: Sequence[Expected], policy: Policy, now: dt.datetime) -> list[Verdict]:
    """Complete because numbers agree, at once where a source has said its last word, else after the shorter quiet."""
    verdicts = []
    for items, seconds in (
        ([item for item in agreeing if item.final], SETTLE_SECONDS),
        (agreeing, max(policy.release_quiet_seconds, evidence.learned_seconds or 0.0)),
    ):
        if items:
            due = _after(max(evidence.last_instance_at, *(item.at for item in items)), seconds)
            verdicts.append(_verdict(Outcome.COMPLETE, "; ".join(map(told, agreeing)), due, now))
    return verdicts


def _confirmed(reason: str, evidence: Evidence) -> str:
    """Add what was announced and came, though it does not decide."""
    return "; ".join((reason, *(told(item) for item in evidence.expected if item.count)))


def _silence(seconds: float, configured: float) -> str:
    learned = f" (its source pauses; {configured:g} s are configured)" if seconds > configured else ""
    return f"no instance for {round(seconds, 1):g} s{learned}"


def told(item: Expected) -> str:
    """Say what a source says, for people."""
    name = " ".join(filter(None, (NAMES.get(item.source, item.source), item.word)))
    return f"{name}, {item.here} of {item.count} instances" if item.count else name


def _verdict(outcome: Outcome, reason: str, due: dt.datetime, now: dt.datetime, *, timed: bool = False) -> Verdict:
    return Verdict(outcome if now >= due else Outcome.WAITING, reason, due, timed)


def _after(moment: dt.datetime, seconds: float) -> dt.datetime:
    return moment + dt.timedelta(seconds=seconds)
