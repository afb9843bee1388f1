"""When a study is whole. Pure: evidence and policy in, a verdict with its reason out.

DICOM has no "end of study" on the C-STORE path, so time is the evidence: quiet since the last instance, and a shorter
quiet once every association that carried the study was released.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """How long to wait, in seconds."""

    quiet_seconds: float
    release_quiet_seconds: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one study's arrival. ``released_at`` counts only if no instance came after it."""

    last_instance_at: dt.datetime
    released_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the study is whole, why, and until then when to ask again."""

    complete: bool
    reason: str
    due_at: dt.datetime


def judge(evidence: Evidence, policy: Policy, now: dt.datetime) -> Verdict:
    """Weigh the evidence at the time ``now``."""
    quiet_due = evidence.last_instance_at + dt.timedelta(seconds=policy.quiet_seconds)
    quiet = Verdict(now >= quiet_due, f"no instance for {policy.quiet_seconds:g} s", quiet_due)
    if evidence.released_at is None or evidence.released_at < evidence.last_instance_at:
        return quiet
    release_due = evidence.released_at + dt.timedelta(seconds=policy.release_quiet_seconds)
    if release_due >= quiet_due:
        return quiet
    reason = f"association released, no instance for {policy.release_quiet_seconds:g} s"
    return Verdict(now >= release_due, reason, release_due)
