"""One run of the traffic through a whole node with its own root, RIS and PACS, until nothing is left to do."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from node.hl7.inbox import FILE, Inbox
from node.hl7.message import peek
from node.records.schema import Delivery, Job, Message, Note, Study
from node.records.states import TAKEN, JobState, MessageState, NoteState, StudyState
from node.simulator.pacs import PacsSimulator
from node.simulator.ris import RisSimulator
from node.simulator.traffic_plan import Plan
from node.simulator.traffic_sending import Sent, Target, send
from tests.campaigns.traffic_state import state
from tests.nodes import RunningNode, running

QUIET_SECONDS = 3.0
"""How long nothing may be left to do until a run counts as ended: longer than the node's own pauses."""
OPEN_JOBS = (JobState.QUEUED, JobState.RUNNING, JobState.INFERRED)
SETTLED = (StudyState.DONE, StudyState.FAILED, StudyState.UNWANTED)
RIS_ANSWERS = 20000


@dataclass
class Ended:
    """What a run left behind."""

    state: dict[str, Any]
    sent: Sent
    figures: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class Gate:
    """Holds the senders while more than ``most`` studies wait for their first report.

    In a hospital hours lie between messages; here, without it, all of them would be there before the first report is.
    """

    def __init__(self, node: RunningNode, most: int, until: float) -> None:
        self._node, self._most, self._until = node, most, until
        self._lock = threading.Lock()
        self._reported = 0

    def __call__(self, sent: int) -> None:
        """Wait until the node has caught up, or time is over."""
        if sent - self._reported <= self._most:
            return
        with self._lock:
            while sent - self._reported > self._most and time.monotonic() < self._until:
                with self._node.records.read() as session:
                    query = select(func.count(Study.id)).where(Study.state.in_(SETTLED))
                    self._reported = max(self._reported, session.scalar(query) or 0)
                time.sleep(0.1)


def run(
    folder: Path,
    plan: Plan,
    *,
    studies: int,
    waiting: int,
    seed: int = 0,
    ris_cuts: float = 0.0,
    seconds: float = 1800.0,
    advance: Callable[[], object] = lambda: None,
) -> Ended:
    """Send the traffic through a new node and wait until all is processed and delivered.

    Parameters
    ----------
    studies
        How many the node is to have in the end.
    waiting
        Most studies that are without a report while more is sent.
    ris_cuts
        Share of the node's messages after which the RIS closes the connection instead of an answer.
    seconds
        When waiting ends, whatever is left to do.
    """
    rng = random.Random(seed)
    answers = ["close" if rng.random() < ris_cuts else "AA" for _ in range(RIS_ANSWERS)] if ris_cuts else []
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with PacsSimulator(folder / "pacs") as pacs, RisSimulator(folder / "ris", answers=answers) as ris:
        with running(folder / "node", _destinations(pacs, ris)) as node:
            started = time.monotonic()
            target = Target("127.0.0.1", node.hl7_port, ("OVERREAD", "127.0.0.1", node.dicom_port))
            gate = Gate(node, waiting, started + seconds)
            sent = send(plan, target, folder / "modality", seed=seed, advance=advance, gate=gate)
            taken = _wait(node, _processed, started + seconds, 0.0)
            left = _wait(node, lambda node: _left(node, studies), started + seconds, QUIET_SECONDS)
            ended = Ended(state(node.records, node.root), sent)
            ended.figures = {
                "seconds to start": round(started - began, 1),
                "seconds to send": round(sent.seconds, 1),
                "messages a second, sent and answered": round((sent.messages + sent.repetitions) / sent.seconds, 1),
                "seconds until all messages were taken over": round(taken[1] - started, 1),
                "seconds until nothing was left": round(left[1] - started, 1),
                "reports": len(node.results("sr")),
                "times a report was looked at again": len(node.events("job.reopened")),
            }
            ended.problems += [f"after {seconds:g} s still to do: {left[0]}"] if left[0] else []
            ended.problems += _complaints(node)
        ended.problems += list(_deliveries(ris, answers))
        ended.figures["messages at the RIS"] = len(ris.received)
        ended.figures["objects at the PACS"] = len(pacs.received)
    return ended


def _destinations(pacs: PacsSimulator, ris: RisSimulator) -> str:
    return (
        f'[[destinations]]\nname = "pacs"\nkind = "dicom"\nhost = "127.0.0.1"\nport = {pacs.port}\nae_title = "P"\n'
        f'[[destinations]]\nname = "ris"\nkind = "mllp"\nhost = "127.0.0.1"\nport = {ris.port}\n'
        'send = ["oru", "alert"]\n'
    )


def _wait(
    node: RunningNode, left: Callable[[RunningNode], dict[str, int]], until: float, quiet: float
) -> tuple[dict[str, int], float]:
    """Wait until nothing is left for a while; returns what is left when time is over, and since when it is so."""
    since = time.monotonic()
    while True:
        found, now = left(node), time.monotonic()
        if found:
            since = now
        if (not found and now - since >= quiet) or now > until:
            return found, since
        time.sleep(0.25)


def _processed(node: RunningNode) -> dict[str, int]:
    """Count messages that are not taken over yet."""
    inbox = Inbox(node.root / FILE)
    try:
        waiting = inbox.count()
    finally:
        inbox.close()
    with node.records.read() as session:
        received = select(func.count(Message.id)).where(Message.state == MessageState.RECEIVED)
        found = {"in the inbox": waiting, "messages": session.scalar(received) or 0}
    return {name: count for name, count in found.items() if count}


def _left(node: RunningNode, studies: int) -> dict[str, int]:
    """Count what is left to do."""
    with node.records.read() as session:
        found = {
            "notes": session.scalar(select(func.count(Note.id)).where(Note.state == NoteState.QUEUED)),
            "jobs": session.scalar(select(func.count(Job.id)).where(Job.state.in_(OPEN_JOBS))),
            "deliveries": session.scalar(select(func.count(Delivery.id)).where(Delivery.state.not_in(TAKEN))),
            "studies": studies - (session.scalar(select(func.count(Study.id)).where(Study.state.in_(SETTLED))) or 0),
        }
    return {**_processed(node), **{name: count for name, count in found.items() if count}}


def _complaints(node: RunningNode) -> list[str]:
    """Return what went wrong inside: processes that died, tracebacks, and patients in the log."""
    found = [f"{event.kind}: {event.text}" for event in node.events("process.died")]
    log = node.log()
    found += [f"the log has {word!r}" for word in ("Traceback", "internal error", "Unknown^Patient") if word in log]
    return found


def _deliveries(ris: RisSimulator, answers: Sequence[str]) -> Iterator[str]:
    """Say which messages the RIS accepted not once, or got under one control id with different contents."""
    contents: dict[str, set[bytes]] = defaultdict(set)
    accepted: Counter[str] = Counter()
    for number, path in enumerate(ris.received):
        raw = path.read_bytes()
        control_id = peek(raw).control_id
        contents[control_id].add(raw)
        accepted[control_id] += number >= len(answers) or answers[number] == "AA"
    for control_id, found in contents.items():
        if accepted[control_id] != 1:
            yield f"message {control_id} was accepted by the RIS {accepted[control_id]} times"
        if len(found) != 1:
            yield f"message {control_id} came with {len(found)} different contents"
