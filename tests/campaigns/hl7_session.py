"""One connection of the HL7 campaign: a stream out, and each answer held against what the book says."""

from __future__ import annotations

import socket
import struct
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from node.records.messages import FOREIGN
from node.records.states import MessageState
from tests.campaigns import hl7_book as book
from tests.campaigns.hl7_book import Answer, Expected
from tests.campaigns.hl7_streams import CR, FS, VT, Stream
from tests.campaigns.hl7_target import Target

ANSWER_SECONDS = 180.0
"""How long any answer may take on a machine that is busy; without one the frame counts as unanswered."""
GRACE_SECONDS = 0.2
RECEIVE_BYTES = 1 << 20


@dataclass
class Told:
    """What a stream's frames were to be told, and what came."""

    expected: list[Expected] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    slowest: float = 0.0


class Session:
    """Sends one stream and checks its answers."""

    def __init__(self, target: Target, stream: Stream) -> None:
        self._target, self._stream = target, stream
        self._canary = f"CANARY{stream.number}"
        self._told = Told()
        self._buffer = b""
        self._ended = False

    def run(self) -> Told:
        """Run it; never raises for what the listener does."""
        told, stream = self._told, self._stream
        canary = self._canary_frame()
        found, head = book.frames(stream.data if stream.reset else stream.data + canary, self._most)
        told.expected = [book.expected(frame, self._target.settings.hl7) for frame in found]
        if head is not None:
            told.expected.append(book.too_long(head))
        for number, item in enumerate(told.expected):
            if item.bug:
                told.problems.append(f"frame {number}: the reader stumbled over it: {item.bug}")
        try:
            self._talk(canary)
        except OSError as exc:
            told.problems.append(f"the connection broke: {exc}")
        return told

    @property
    def _most(self) -> int:
        return self._target.settings.hl7.max_message_bytes

    def _canary_frame(self) -> bytes:
        """Return a sound message; whatever was sent before it, it has to be answered."""
        msh = f"MSH|^~\\&|CANARY|HOSP|OVERREAD||20260101120000+0000||ADT^A08|{self._canary}|P|2.5.1"
        return VT + f"{msh}\rPID|1||QZ7PAT00001^^^HOSP||Plantedname^Ada\rPV1|1|N\r".encode() + FS + CR

    def _talk(self, canary: bytes) -> None:
        with socket.create_connection(("127.0.0.1", self._target.port), 30) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
            connection.settimeout(ANSWER_SECONDS)
            for piece in self._stream.pieces:
                connection.sendall(piece)
            if self._stream.reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            connection.sendall(canary)
            self._await(connection)
            connection.shutdown(socket.SHUT_WR)
            while self._receive(connection):
                pass
        self._check()

    def _await(self, connection: socket.socket) -> None:
        """Take answers until all came that are certain, then those that depend on what became of the messages."""
        told = self._told
        in_order = sum(bool(item.code) for item in told.expected)
        certain = in_order + sum(item.later == "AL" for item in told.expected)
        self._take(connection, certain)
        conditional = [item for item in told.expected if item.later in ("ER", "SU")]
        if conditional and not self._ended:
            self._take(connection, certain + self._conditional(conditional))
            time.sleep(GRACE_SECONDS)

    def _conditional(self, items: Sequence[Expected]) -> int:
        """Wait until the messages are processed; count those whose sender wants to hear of it."""
        deadline = time.monotonic() + ANSWER_SECONDS
        digests = [item.digest for item in items]
        while True:
            found = self._target.outcomes(digests)
            open_ = [d for d in digests if d not in found or found[d][0] is MessageState.RECEIVED]
            if not open_ or time.monotonic() > deadline or self._target.dead():
                break
            time.sleep(0.05)
        wants = {"SU": MessageState.PROCESSED, "ER": MessageState.FAILED}
        return sum(
            item.digest in found and found[item.digest][0] is wants[item.later] and FOREIGN not in found[item.digest][1]
            for item in items
        )

    def _take(self, connection: socket.socket, count: int) -> None:
        began = time.monotonic()
        going = not self._ended
        while going and len(self._told.answers) < count:
            try:
                going = self._receive(connection)
            except TimeoutError:
                self._told.problems.append(f"{len(self._told.answers)} of {count} answers came")
                return
        self._told.slowest = max(self._told.slowest, time.monotonic() - began)

    def _receive(self, connection: socket.socket) -> bool:
        """Take what came; False at the end of the connection."""
        data = connection.recv(1 << 16)
        self._ended = not data
        self._buffer += data
        while match := book.ANSWER.match(self._buffer):
            self._buffer = self._buffer[match.end() :]
            answer = book.read(match.group(1))
            if answer is None:
                self._told.problems.append(f"an answer is no acknowledgement by the book: {match.group(1)[:300]!r}")
            self._told.answers.append(answer or Answer("", "", "", unasked=False))
        return bool(data)

    def _check(self) -> None:
        """Hold what came against what should."""
        told = self._told
        if self._buffer:
            told.problems.append(f"bytes that are no answer came: {self._buffer[:100]!r}")
        later = {item.control_id for item in told.expected if item.later}
        of_their_own = [a for a in told.answers if a.unasked and a.control_id in later and a.code.startswith("A")]
        in_order = [answer for answer in told.answers if answer not in of_their_own]
        should = [item for item in told.expected if item.code]
        for number, (item, answer) in enumerate(zip(should, in_order, strict=False)):
            came = (answer.code, answer.error, plain(answer.control_id))
            if (item.code, item.error, plain(item.control_id)) != came:
                told.problems.append(f"answer {number} in order should be {item} and is {answer}")
                return
        if len(should) != len(in_order):
            told.problems.append(f"{len(should)} answers in order were due, {len(in_order)} came")
        self._check_later(of_their_own)

    def _check_later(self, answers: Sequence[Answer]) -> None:
        """Each application answer comes once, and where it is asked for in any case it comes."""
        told = self._told
        if told.expected and told.expected[-1].last:
            return  # the listener ended the connection; what was not known by then is not told
        came = Counter(answer.control_id for answer in answers)
        always = Counter(item.control_id for item in told.expected if item.later == "AL")
        most = Counter(item.control_id for item in told.expected if item.later)
        for control_id in most:
            if not always[control_id] <= came[control_id] <= most[control_id]:
                told.problems.append(
                    f"{came[control_id]} application answers came for {control_id!r}, not {most[control_id]}"
                )


def plain(control_id: str) -> str:
    """Return a control id as far as every character set has it: an answer has "?" for what its own cannot say."""
    return "".join(letter if letter.isascii() else "?" for letter in control_id)
