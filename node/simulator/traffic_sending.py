"""Sends planned traffic as an interface engine does: over several MLLP connections, with cuts, again until accepted."""

from __future__ import annotations

import random
import shutil
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from node.errors import DeliveryError, OverreadError
from node.hl7 import ack as acks
from node.hl7.ack import ACCEPTED
from node.hl7.framing import FrameDecoder, frame
from node.hl7.mllp import ACK_MAX_BYTES, READ_BYTES
from node.simulator.modality import send_study
from node.simulator.traffic import StudyToCome
from node.simulator.traffic_plan import Cut, Plan, Step

TRIES = 60
"""How often a message is sent until the simulated sender gives up."""
PAUSE = 0.5
"""Seconds before a message is sent again that could not be taken now, or found no connection."""


@dataclass
class Sent:
    """What was sent and what was answered."""

    messages: int = 0
    repetitions: int = 0
    studies: int = 0
    again: int = 0
    """Messages that were sent again because the connection was cut, lost, or the receiver asked for it."""
    cuts: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Control ids of messages that were refused for good, and the code."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send; without ``dicom`` (AE title, host, port) studies are left out."""

    host: str
    port: int
    dicom: tuple[str, str, int] | None = None
    timeout: float = 60.0


def send(
    plan: Plan,
    target: Target,
    folder: Path,
    *,
    seed: int = 0,
    advance: Callable[[], object] = lambda: None,
    gate: Callable[[int], object] = lambda studies: None,
) -> Sent:
    """Send it all; each lane over a connection of its own, in a thread of its own.

    Parameters
    ----------
    folder
        Where the studies' files are written while they are sent.
    advance
        Called after each message and study.
    gate
        Called before each message and study with the number of studies that were sent, by any thread: it may let the
        receiver catch up.

    Raises
    ------
    DeliveryError
        A message was not taken in :data:`TRIES` tries, or a study was not.
    """
    began = time.monotonic()
    sending = _Sending(plan, target, folder, advance, gate)
    threads = [
        threading.Thread(target=sending.guarded, args=(sending.lane, lane, f"{seed}|{number}"), name=f"lane-{number}")
        for number, lane in enumerate(plan.lanes)
    ]
    threads.append(threading.Thread(target=sending.guarded, args=(sending.modality,), name="modality"))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if sending.failure is not None:
        raise sending.failure
    sending.sent.seconds = time.monotonic() - began
    return sending.sent


class _Sending:
    """What the threads share."""

    def __init__(
        self,
        plan: Plan,
        target: Target,
        folder: Path,
        advance: Callable[[], object],
        gate: Callable[[int], object],
    ) -> None:
        self.sent = Sent()
        self.failure: BaseException | None = None
        self._gate = gate
        self._plan, self._target, self._folder, self._advance = plan, target, folder, advance
        self._changed = threading.Condition()

    def guarded(self, work: Callable[..., None], *arguments: object) -> None:
        """Run a thread's work; what it fails with stops the others."""
        try:
            work(*arguments)
        except BaseException as exc:  # handed to the caller of send
            with self._changed:
                self.failure = self.failure or exc
                self._changed.notify_all()

    def lane(self, steps: Sequence[Step], seed: str) -> None:
        """Send one lane."""
        with _Wire(self._target, random.Random(seed)) as wire:  # noqa: S311  not a secret
            for step in steps:
                if self.failure is not None:
                    return
                if step.event.study is not None:
                    self._study(step.event.study)
                else:
                    self._message(wire, step)

    def modality(self) -> None:
        """Send the studies that stand in no lane, each in its turn."""
        for after, study in self._plan.studies:
            with self._changed:
                self._changed.wait_for(lambda due=after: self.failure or self.sent.messages >= due)  # type: ignore[misc]
            if self.failure is not None:
                return
            self._study(study)

    def _message(self, wire: _Wire, step: Step) -> None:
        self._gate(self.sent.studies)
        code, tries = wire.deliver(step)
        with self._changed:
            self.sent.messages += not step.again
            self.sent.repetitions += step.again
            self.sent.again += tries - 1
            self.sent.answers[code] += 1
            if step.cut is not None:
                self.sent.cuts[step.cut.value] += 1
            if code not in ACCEPTED:
                self.sent.refused.append((step.event.control_id, code))
            self._advance()
            self._changed.notify_all()

    def _study(self, study: StudyToCome) -> None:
        if self._target.dicom is not None:
            ae_title, host, port = self._target.dicom
            made = study.make()
            self._gate(self.sent.studies)
            for outcome in send_study(made, self._folder, host, port, called_ae=ae_title):
                outcome.raise_for_status()
            shutil.rmtree(self._folder / made.study_uid, ignore_errors=True)
        with self._changed:
            self.sent.studies += self._target.dicom is not None
            self._advance()


class _Wire:
    """A connection that is opened when need be, cut as planned, and used until each message is answered."""

    def __init__(self, target: Target, rng: random.Random) -> None:
        self._target, self._rng = target, rng
        self._socket: socket.socket | None = None

    def __enter__(self) -> _Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def deliver(self, step: Step) -> tuple[str, int]:
        """Send a message until it is answered by its control id; returns the answer's code, and how often it was sent.

        Raises
        ------
        DeliveryError
            It was not taken in :data:`TRIES` tries.
        """
        cut = step.cut
        for number in range(1, TRIES + 1):
            try:
                if cut is not None:
                    at, cut = cut, None
                    self._cut(step.event.raw, at)
                    continue
                ack = self._exchange(step.event.raw)
            except (OSError, OverreadError):
                self._close()
                time.sleep(PAUSE)
                continue
            if ack.control_id == step.event.control_id:
                if (ack.code, ack.error_code) not in (("AE", "207"), ("CE", "207")):
                    return (ack.code if ack.code in ACCEPTED else f"{ack.code} {ack.error_code}".strip()), number
                time.sleep(PAUSE)
            else:
                self._close()
        raise DeliveryError(f"message {step.event.control_id} was not taken in {TRIES} tries")

    def _cut(self, raw: bytes, at: Cut) -> None:
        whole = frame(raw)
        if at is Cut.WITHIN:
            self._open().sendall(whole[: self._rng.randrange(1, len(whole) - 2)])
        elif at is Cut.AFTER:
            self._open().sendall(whole)
        self._close()

    def _exchange(self, raw: bytes) -> acks.Ack:
        connection, decoder = self._open(), FrameDecoder(ACK_MAX_BYTES)
        connection.sendall(frame(raw))
        while data := connection.recv(READ_BYTES):
            for answer in decoder.feed(data):
                return acks.read(answer)
        raise DeliveryError("the connection was closed without an acknowledgement")

    def _open(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection((self._target.host, self._target.port), self._target.timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
