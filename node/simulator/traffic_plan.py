"""How generated traffic is sent: over which connections, what twice, and where connections are cut. Pure."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from node.errors import InputError
from node.simulator.traffic import Event, StudyToCome

LATER = 200
"""How many messages later, at most, a repetition follows that does not come at once."""


class Cut(StrEnum):
    """Where a connection is cut; the message is then sent again over another one."""

    BEFORE = "before the message"
    WITHIN = "in the middle of its frame"
    AFTER = "before its acknowledgement"


@dataclass(frozen=True, slots=True)
class Faults:
    """What disturbs the traffic.

    Parameters
    ----------
    shuffle
        Patients are spread over the connections, each patient's messages in order on one of them, the order between
        patients and the time of each study by chance. Else all goes over one connection, in the order of its times.
    duplicates, cuts
        Share of the messages that are sent twice, and at which the connection is cut.
    """

    shuffle: bool = False
    connections: int = 8
    duplicates: float = 0.0
    cuts: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """One sending: a message, with the connection cut at it or not, or a study."""

    event: Event
    cut: Cut | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent.

    Parameters
    ----------
    lanes
        One connection each.
    studies
        Those that do not stand in a lane: after how many messages of all lanes, and what.
    """

    lanes: tuple[tuple[Step, ...], ...]
    studies: tuple[tuple[int, StudyToCome], ...] = ()

    @property
    def messages(self) -> int:
        """How often a message is sent, repetitions included, cuts not."""
        return sum(step.event.study is None for lane in self.lanes for step in lane)


def plan(events: Sequence[Event], faults: Faults, seed: int) -> Plan:
    """Plan how to send events.

    Raises
    ------
    InputError
        A share is not from 0 to 1, or there is no connection.
    """
    if not (0 <= faults.duplicates <= 1 and 0 <= faults.cuts <= 1 and faults.connections > 0):
        raise InputError("shares are from 0 to 1, and at least one connection is needed")
    rng = random.Random(seed)  # noqa: S311  not a secret
    if not faults.shuffle:
        return Plan((_disturbed(events, faults, rng),))
    messages = [event for event in events if event.study is None]
    lanes = tuple(_disturbed(_mixed(lane, rng), faults, rng) for lane in _spread(messages, faults.connections, rng))
    studies = [event.study for event in events if event.study is not None]
    times = [(rng.randint(0, len(messages)), study) for study in studies]
    return Plan(lanes, tuple(sorted(times, key=lambda item: item[0])))


def _spread(messages: Sequence[Event], connections: int, rng: random.Random) -> list[list[list[Event]]]:
    """Give each patient, with all messages in order, to one connection."""
    patients: dict[str, list[Event]] = defaultdict(list)
    for event in messages:
        patients[event.patient].append(event)
    lanes: list[list[list[Event]]] = [[] for _ in range(connections)]
    order = list(patients.values())
    rng.shuffle(order)
    for number, found in enumerate(order):
        lanes[number % connections].append(found)
    return lanes


def _mixed(patients: Sequence[Sequence[Event]], rng: random.Random) -> list[Event]:
    """Mix several patients' messages by chance, each patient's in order."""
    turns = [number for number, found in enumerate(patients) for _ in found]
    rng.shuffle(turns)
    nexts = [iter(found) for found in patients]
    return [next(nexts[number]) for number in turns]


def _disturbed(events: Sequence[Event], faults: Faults, rng: random.Random) -> tuple[Step, ...]:
    """Choose what of a lane is sent twice, at once or later, and where its connection is cut."""
    messages = [number for number, event in enumerate(events) if event.study is None]
    twice = rng.sample(messages, round(faults.duplicates * len(messages)))
    places = [(float(number), Step(event)) for number, event in enumerate(events)]
    for number in twice:
        after = number + (0.5 if rng.random() < 0.5 else rng.randint(1, LATER) + 0.5)
        places.append((after, Step(events[number], again=True)))
    places.sort(key=lambda item: item[0])
    steps = [step for _, step in places]
    able = [number for number, step in enumerate(steps) if step.event.study is None]
    for number in rng.sample(able, round(faults.cuts * len(able))):
        steps[number] = Step(steps[number].event, rng.choice(list(Cut)), steps[number].again)
    return tuple(steps)
