"""What is measured and what it must reach: the cases, and the figures that compare two runs of one round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.receive.measure import Run

DURABLE, FAST, FORK, SCP, ORTHANC, PYNETDICOM = (
    "ours",
    "ours, none",
    "storescp --fork",
    "storescp",
    "Orthanc",
    "pynetdicom",
)


@dataclass(frozen=True, slots=True)
class Case:
    """What is sent, and to whom. Neighbours in ``receivers`` run next to each other."""

    title: str
    corpus: str
    associations: int
    receivers: tuple[str, ...]
    nodelay: bool = True
    folders: int = 8


_PEERS = (SCP, FAST, FORK, DURABLE, ORTHANC)
CASES: Mapping[str, Case] = {
    "ct1": Case("CT 512x512, 1 association", "ct", 1, (*_PEERS, PYNETDICOM)),
    "ct4": Case("CT 512x512, 4 associations", "ct", 4, _PEERS),
    "ct8": Case("CT 512x512, 8 associations", "ct", 8, (*_PEERS, PYNETDICOM)),
    "mr1": Case("MR 34 kB, 1 association", "mr", 1, (SCP, FORK, DURABLE, ORTHANC)),
    "mr4": Case("MR 34 kB, 4 associations", "mr", 4, (SCP, FORK, DURABLE, ORTHANC)),
    "installed": Case(
        "CT 512x512, 1 association, as installed", "ct", 1, (SCP, FORK, DURABLE, ORTHANC), nodelay=False, folders=1
    ),
    "memory": Case("Enhanced CT, a huge one on each of 4 associations", "huge", 4, (DURABLE,)),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A ratio of two runs of one round. ``must`` is None where nothing is asked."""

    measure: str
    case: str
    receiver: str
    peer: str
    must: float | None = None
    quantity: str = "speed"
    peer_case: str = ""

    @property
    def at_most(self) -> bool:
        """Whether less is better."""
        return self.quantity != "speed"


QUANTITIES: Mapping[str, Callable[[Run], float]] = {
    "speed": lambda run: run.speed,
    "cpu": lambda run: run.cpu_per_gb(),
    "cpu without index": lambda run: run.cpu_per_gb(without="indexer"),
}


def _throughput(case: str, receiver: str, peers: Mapping[str, float]) -> list[Figure]:
    policy = "durable" if receiver == DURABLE else 'durability = "none"'
    title = f"{CASES[case].title}, {policy}"
    return [Figure(title, case, receiver, peer, must) for peer, must in peers.items()]


def _cpu(case: str) -> list[Figure]:
    title = f"receiver CPU per GB, {CASES[case].title}"
    return [
        Figure(title, case, DURABLE, FORK, 1.2, "cpu without index"),
        Figure(f"{title}, with our indexer", case, DURABLE, FORK, None, "cpu"),
    ]


def _overlap(receiver: str, must: float | None) -> Figure:
    return Figure("8 overlapping associations against 1", "ct8", receiver, receiver, must, peer_case="ct1")


CT, MR = ("ct1", "ct4", "ct8"), ("mr1", "mr4")
FIGURES: tuple[Figure, ...] = (
    *(figure for case in CT for figure in _throughput(case, DURABLE, {FORK: 1.0, ORTHANC: 2.5})),
    *(figure for case in CT for figure in _throughput(case, FAST, {FORK: 1.3, SCP: 1.3, ORTHANC: 2.5})),
    *(figure for case in MR for figure in _throughput(case, DURABLE, {FORK: 0.9, SCP: 0.9, ORTHANC: 2.5})),
    *_throughput("installed", DURABLE, {SCP: 10.0, FORK: 10.0, ORTHANC: 10.0}),
    *(figure for case in CT for figure in _cpu(case)),
    _overlap(DURABLE, 1.0),
    _overlap(PYNETDICOM, None),
)
MEMORY_MUST = 300_000_000
"""Bytes of all our processes together while a huge instance arrives on each of four associations."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The median and the bounds of a figure over its pairs."""

    figure: Figure
    median: float
    lowest: float
    highest: float
    pairs: int

    @property
    def met(self) -> bool | None:
        """Whether the median reaches what it must; None where nothing is asked."""
        must = self.figure.must
        if must is None:
            return None
        return self.median <= must if self.figure.at_most else self.median >= must


def ratios(figure: Figure, runs: Sequence[Run]) -> list[float]:
    """Return the ratio of each round in which both runs count."""
    quantity = QUANTITIES[figure.quantity]
    counted = {(run.case, run.receiver, run.round): run for run in runs if run.ok}
    found = []
    for number in sorted({run.round for run in runs}):
        one = counted.get((figure.case, figure.receiver, number))
        other = counted.get((figure.peer_case or figure.case, figure.peer, number))
        if one and other and (base := quantity(other)):
            found.append(quantity(one) / base)
    return found


def outcomes(runs: Sequence[Run], figures: Sequence[Figure] = FIGURES) -> list[Outcome]:
    """Return the figures for which there is at least one pair of runs."""
    return [
        Outcome(figure, statistics.median(values), min(values), max(values), len(values))
        for figure in figures
        if (values := ratios(figure, runs))
    ]
