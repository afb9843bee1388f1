"""A study's results, by kind: what the page folds away and what it says of it unfolded. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from node.records.schema import Job, Result
from node.records.states import DeliveryState, JobState

KINDS: Mapping[str, str] = {
    "alert": "Alerts on critical findings (HL7)",
    "oru": "Result messages (HL7 ORU)",
    "sr": "Structured reports (SR)",
    "seg": "Segmentations (SEG)",
    "pdf": "Reports as PDF",
    "gsps": "Presentation states (GSPS)",
    "kos": "Key object selections (KOS)",
    "pm": "Parametric maps (PM)",
    "sc": "Secondary captures (SC)",
}
"""Kinds that have a name of their own, in the order of the page; others follow by their short names."""
TROUBLE = (DeliveryState.FAILED, DeliveryState.RETRYING)


@dataclass(frozen=True, slots=True)
class Shelf:
    """All results of one kind, newest first, with how many deliveries of those in force are in which state."""

    kind: str
    name: str
    items: Sequence[tuple[Job, Result]]
    states: Mapping[DeliveryState, int]

    @property
    def trouble(self) -> bool:
        """Whether a delivery was not taken, so that somebody should look."""
        return any(state in self.states for state in TROUBLE)


def shelves(jobs: Iterable[Job]) -> list[Shelf]:
    """Return the results of jobs by kind."""
    kinds: dict[str, list[tuple[Job, Result]]] = {}
    for job in jobs:
        for result in job.results:
            kinds.setdefault(result.kind, []).append((job, result))
    order = [*(kind for kind in KINDS if kind in kinds), *sorted(kind for kind in kinds if kind not in KINDS)]
    return [_shelf(kind, kinds[kind]) for kind in order]


def _shelf(kind: str, items: list[tuple[Job, Result]]) -> Shelf:
    states = Counter(
        delivery.state
        for job, result in items
        if job.state is not JobState.SUPERSEDED
        for delivery in result.deliveries
    )
    newest = sorted(items, key=lambda item: (item[0].state is JobState.SUPERSEDED, -item[1].id))
    return Shelf(kind, KINDS.get(kind, kind.upper()), newest, states)
