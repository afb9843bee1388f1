"""When to try again. Pure."""

from __future__ import annotations

import datetime as dt

from node.settings import DeliverySection

JITTER = 0.2
"""Share of a wait that chance adds or takes away, so that destinations which failed together do not return together."""


def next_try(
    attempts: int, since: dt.datetime, now: dt.datetime, policy: DeliverySection, chance: float
) -> dt.datetime | None:
    """Return when to try again after ``attempts`` failures, or None once ``give_up_days`` have passed since ``since``.

    Parameters
    ----------
    chance
        Uniform in [0, 1).
    """
    if now - since >= dt.timedelta(days=policy.give_up_days):
        return None
    exponent = min(max(attempts - 1, 0), 30)
    wait = min(policy.retry_max_seconds, policy.retry_seconds * 2.0**exponent)
    return now + dt.timedelta(seconds=wait * (1 - JITTER + 2 * JITTER * chance))
