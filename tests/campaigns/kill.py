"""Kill -9 at random moments: what was answered with Success is kept, whole and indexed; nothing half-written shows.

``python -m tests.campaigns.kill --rounds 100``. Two receivers and the indexer run over one root through all rounds,
with journals so small that their halves turn over all the time, while senders send. In each round one receiver, both,
their parent, the indexer or all are killed and started again as parent and supervisor do; where all were killed, some
of what a power cut could have taken is taken away before. ``--durability none`` kills without power cuts.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from node.storage import layout
from node.storage.spool import Durability
from tests.campaigns import console, powercut, promises
from tests.campaigns.console import Outcome
from tests.campaigns.objects import Maker
from tests.campaigns.processes import RECEIVERS, RESTART_SECONDS, Service, Services, services
from tests.campaigns.senders import Sender, Told

SENDERS = 4
VICTIMS: Sequence[tuple[float, str]] = (
    (40, "one receiver"),
    (20, "both receivers"),
    (10, "the indexer"),
    (10, "the receivers' parent"),
    (20, "all"),
)
"""Who is killed how often, in percent."""
BEFORE_SECONDS = (0.05, 0.7)
AFTER_SECONDS = (0.1, 0.4)
"""How long senders send before the kill, and after the restart."""


class Campaign:
    """All rounds over one root."""

    def __init__(self, node: Services, seed: int, outcome: Outcome, *, durable: bool) -> None:
        self._durable = durable
        self._node, self._seed, self.outcome = node, seed, outcome
        self._chance = random.Random(seed)
        self._maker = Maker(seed % 10**8)
        self._numbers = itertools.count()
        self.told = Told()
        self._watcher = promises.Watcher(node.spool, self.told)
        self._watcher.start()

    def round(self, number: int) -> None:
        """Send, kill, restart, send, and look."""
        before = self.told.answers()
        senders = [
            Sender(self._node.port, self._maker, self._numbers, self.told, f"{self._seed}-{number}-{n}")
            for n in range(SENDERS)
        ]
        for sender in senders:
            sender.start()
        time.sleep(self._chance.uniform(*BEFORE_SECONDS))
        self._kill()
        time.sleep(self._chance.uniform(*AFTER_SECONDS))
        for sender in senders:
            sender.over.set()
        for sender in senders:
            sender.join(60)
            self.outcome.require(not sender.is_alive(), f"round {number}: a sender never got its answer")
        self._look({uid: found for uid, found in self.told.answers().items() if before.get(uid) != found})

    def _kill(self) -> None:
        weights, names = zip(*VICTIMS, strict=True)
        (name,) = self._chance.choices(names, weights)
        self.outcome.add("kills")
        self.outcome.add(f"kills of {name}")
        if name in ("one receiver", "both receivers"):
            self._kill_children(1 if name == "one receiver" else len(RECEIVERS))
            return
        services: dict[str, Sequence[Service]] = {
            "the indexer": [self._node.indexer],
            "the receivers' parent": [self._node.receivers],
        }
        victims: Sequence[Service] = services.get(name, self._node.all)
        if name != "all" or self._chance.random() < 0.3:
            self._kill_services(victims)
            self._restart(victims)
            return
        with self._watcher.looking:  # it would see what a power cut leaves, before anybody can have mended it
            self._kill_services(victims)
            if self._durable:  # else nobody was promised that anything survives that
                self._cut_power()
            self._restart(victims)

    def _kill_children(self, count: int) -> None:
        """Kill receivers; their parent starts them again. Sometimes they are killed in the middle of that."""
        self._node.receivers.kill_children(count, self._chance)
        if self._chance.random() < 0.25:
            time.sleep(RESTART_SECONDS + self._chance.uniform(0.05, 0.5))
            alive = len(self._node.receivers.children())
            self._node.receivers.kill_children(alive, self._chance)
            self.outcome.add("kills during a start")
        self._node.await_receivers()

    def _kill_services(self, victims: Sequence[Service]) -> None:
        for victim in victims:
            os.kill(victim.pid, signal.SIGKILL)
        for victim in victims:
            victim.kill()
        if self._chance.random() < 0.25:
            for victim in victims:
                victim.start()
            time.sleep(self._chance.uniform(0.2, 1.2))
            for victim in victims:
                victim.kill()
            self.outcome.add("kills during a start")

    def _restart(self, victims: Sequence[Service]) -> None:
        """Start what was killed as the supervisor would; the indexer, which has much to read, is not waited for."""
        time.sleep(RESTART_SECONDS)
        for victim in victims:
            victim.start()
        self._node.await_receivers()

    def _cut_power(self) -> None:
        loss = powercut.cut(self._node.spool, self._chance)
        self.outcome.add("power cuts")
        self.outcome.add("instances that a power cut took", loss.journaled)
        self.outcome.add("parts of the ledger that it shortened", loss.ledger)

    def _look(self, new: promises.Answers) -> None:
        """Check what this round was answered."""
        spool = self._node.spool
        self._node.settle()
        took = promises.indexed(self._node.records, new, self.outcome)
        self.outcome.figures["slowest index, seconds"] = max(
            self.outcome.figures.get("slowest index, seconds", 0), round(took, 1)
        )
        promises.kept(spool, new, self.outcome)
        promises.tidy(spool, self.outcome)
        self.outcome.add("rounds")

    def close(self) -> None:
        """Check everything once more, and tell the figures."""
        self._watcher.over.set()
        self._watcher.join()
        self._watcher.look()
        promises.kept(self._node.spool, self.told.answers(), self.outcome)
        promises.indexed(self._node.records, self.told.answers(), self.outcome)
        for text in (*self._watcher.broken, *self.told.wrong, *self._node.complaints()):
            self.outcome.violation(text)
        statuses = {f"answered {status:04X}": count for status, count in sorted(self.told.statuses.items())}
        files = sum(1 for fan in layout.fans() for _ in (self._node.spool / fan).iterdir())
        self.outcome.figures |= statuses | {
            "instances answered with Success": len(self.told.kept),
            "instances sent": len(self.told.asked),
            "files": files,
            "connections lost": self.told.lost_connections,
            "looks at visible files": self._watcher.looks,
        }


def run(folder: Path, rounds: int, seconds: float, seed: int, outcome: Outcome, durability: str = "instance") -> None:
    """Run the campaign below ``folder``."""
    deadline = time.monotonic() + seconds
    with services(folder, durability=durability) as node, console.progress(rounds) as (bar, task):
        campaign = Campaign(node, seed, outcome, durable=durability == "instance")
        for number in range(rounds):
            if time.monotonic() > deadline:
                break
            bar.update(task, description=f"kills, {len(campaign.told.kept)} answered")
            campaign.round(number)
            bar.advance(task)
            if outcome.count:
                break
        campaign.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns 1 if a promise was broken."""
    parser = console.parser("kill", __doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--durability", choices=get_args(Durability), default="instance")
    options = parser.parse_args(arguments)
    seed = console.seed_of(options)
    outcome = Outcome({"seed": seed})
    with console.workplace(options, "kill", outcome) as folder:
        run(folder, options.rounds, options.seconds, seed, outcome, options.durability)
    return console.finish(outcome, options.json)


if __name__ == "__main__":
    sys.exit(main())
