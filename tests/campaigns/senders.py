"""Senders that know what was answered: plain sockets, at full speed, through every broken connection."""

from __future__ import annotations

import itertools
import random
import struct
import threading
import time
from dataclasses import dataclass, field

from tests.campaigns.objects import CLASS, SYNTAX, Maker, Sample
from tests.campaigns.processes import connect
from tests.node.dicom.scp.raw import ACCEPT, RELEASE_RP, STATUS, Raw, request, store

PIECE = 120_000
"""Bytes of a presentation data value; below the receiver's 131072 of a PDU."""
PAUSE_SECONDS = 0.05
MOST_OBJECTS = 1500
"""A sender sends so many at full speed, and then nothing: the index has to come to its end before the next round."""
DUPLICATE_REFUSED = 0xC001


@dataclass
class Told:
    """What senders asked and were answered, shared by their threads: by SOP Instance UID, digests of data sets.

    Under one UID two objects may both have been answered with Success: where the process that had the first one was
    killed, nobody knows of it until its journal is read. Then both have to be kept, the second beside the first.
    """

    kept: dict[str, set[str]] = field(default_factory=dict)
    asked: dict[str, set[str]] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    lost_connections: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def sent(self, sample: Sample) -> None:
        """Say that an object is being sent."""
        with self.lock:
            self.asked.setdefault(sample.uid, set()).add(sample.digest)

    def answered(self, sample: Sample, status: int) -> None:
        """Take an answer, and note what it should not be."""
        with self.lock:
            self.statuses[status] = self.statuses.get(status, 0) + 1
            if status == 0:
                self.kept.setdefault(sample.uid, set()).add(sample.digest)
            elif sample.digest in self.kept.get(sample.uid, ()):
                self.wrong.append(f"{sample.uid}: what is kept was answered with {status:04X} when it came again")
            elif status != DUPLICATE_REFUSED:
                self.wrong.append(f"{sample.uid}: answered with {status:04X}")

    def answers(self) -> dict[str, set[str]]:
        """Return what was answered with Success by now."""
        with self.lock:
            return {uid: set(found) for uid, found in self.kept.items()}


class Sender(threading.Thread):
    """Sends objects over one association after the other until :attr:`over` is set.

    Besides new objects it repeats some that were answered and all that were not, with the same bytes or with others.
    """

    def __init__(self, port: int, maker: Maker, numbers: itertools.count[int], told: Told, seed: str) -> None:
        super().__init__(name=f"sender-{seed}", daemon=True)
        self.over = threading.Event()
        self._port, self._maker, self._numbers, self._told = port, maker, numbers, told
        self._chance = random.Random(seed)
        self._count = 0
        self._done: list[Sample] = []
        self._again: list[Sample] = []

    def run(self) -> None:
        """Send."""
        while not self.over.is_set() and self._count < MOST_OBJECTS:
            try:
                self._associate()
            except OSError:
                with self._told.lock:
                    self._told.lost_connections += 1
                time.sleep(PAUSE_SECONDS)

    def _associate(self) -> None:
        with connect(self._port) as connection:
            raw = Raw(connection)
            raw.send(request({1: (CLASS, [SYNTAX])}, calling="CAMPAIGN", max_pdu=0))
            if raw.pdu()[0] != ACCEPT:
                raise ConnectionError
            for number in range(1, self._chance.choice((1, 3, 40, 400))):
                if self.over.is_set() or self._count >= MOST_OBJECTS:
                    break
                self._send(raw, self._next(), number)
            if self._chance.random() < 0.8:
                raw.send(struct.pack(">BxLL", 5, 4, 0))
                if raw.pdu()[0] != RELEASE_RP:
                    raise ConnectionError

    def _next(self) -> Sample:
        if self._again:
            sample = self._again.pop()
            return sample if self._chance.random() < 0.7 else self._maker.other(sample)
        if self._done and self._chance.random() < 0.03:
            sample = self._chance.choice(self._done)
            return sample if self._chance.random() < 0.6 else self._maker.other(sample)
        return self._maker.choose(next(self._numbers), self._chance)

    def _send(self, raw: Raw, sample: Sample, number: int) -> None:
        self._told.sent(sample)
        self._count += 1
        try:
            raw.send(store(1, sample.uid, sample.data, number=number, piece=PIECE))
            status = answer(raw)
        except OSError:
            self._again.append(sample)
            raise
        self._told.answered(sample, status)
        if status == 0:
            self._done.append(sample)
            del self._done[:-200]


def answer(raw: Raw) -> int:
    """Read the answer to a C-STORE; a connection that ends instead is an OSError."""
    kind, body = raw.pdu()
    if kind != 4:
        raise ConnectionError(f"PDU {kind}")
    position = body.index(struct.pack("<HHL", 0, STATUS, 2)) + 8
    return int.from_bytes(body[position : position + 2], "little")
