"""The policy of retries, for whoever records a failure."""

from __future__ import annotations

import random

from node.clock import now
from node.delivery.backoff import next_try
from node.records.results import Again
from node.settings import DeliverySection


def retries(policy: DeliverySection) -> Again:
    """Return when to try again by the configured policy; what fails together has its own chance together."""
    chance, at = random.random(), now()  # noqa: S311
    return lambda attempts, since: next_try(attempts, since, at, policy, chance)
