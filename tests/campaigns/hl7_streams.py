"""What one connection of the HL7 campaign sends: messages in frames, whole, cut, glued, nested or none at all."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.campaigns.hl7_messages import Messages, relabelled
from tests.campaigns.hl7_mutate import mutate

VT, FS, CR = b"\x0b", b"\x1c", b"\r"
MOST_BYTES = 1 << 20
"""``hl7.max_message_bytes`` of the campaign."""
SOUND = 0.2
"""Share of the messages that are left as they are."""
PLAIN_FRAME = 0.75
HUGE = 0.0007
"""Share of the items that exceed the limit."""
RESET = 0.03
"""Share of the connections that are reset without waiting for answers."""
AGAIN = 0.04
"""Share of the messages that were sent before."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What one connection sends.

    Parameters
    ----------
    pieces
        The bytes, as they are handed to the socket.
    items
        How many cases that are.
    reset
        Whether the connection is reset at the end.
    """

    number: int
    pieces: tuple[bytes, ...]
    items: int
    reset: bool

    @property
    def data(self) -> bytes:
        """All bytes."""
        return b"".join(self.pieces)


class Streams:
    """Streams by seed and number.

    Parameters
    ----------
    real
        Messages of hospitals, to be mutated beside those that are made up.
    """

    def __init__(self, seed: int, real: Sequence[bytes] = ()) -> None:
        self._seed, self._real = seed, real

    def stream(self, number: int, items: int) -> Stream:
        """Return a stream of so many items."""
        rng = random.Random(f"{self._seed}/{number}")
        known: list[bytes] = []
        parts = [self._item(rng, f"{self._seed % 100_000}X{number}X{place}", known) for place in range(items)]
        return Stream(number, tuple(_pieces(parts, rng)), items, rng.random() < RESET)

    def _item(self, rng: random.Random, control_id: str, known: list[bytes]) -> bytes:
        if rng.random() < HUGE:
            message = Messages(rng).any(control_id)
            return VT + message + b"OBX|1|TX|A||" + b"plantedsecret " * ((MOST_BYTES + (700 << 10)) // 14) + FS + CR
        if known and rng.random() < AGAIN:
            message = rng.choice(known)
        else:
            message = self._message(rng, control_id)
            known.append(message)
        return VT + message + FS + CR if rng.random() < PLAIN_FRAME else framed(message, rng)

    def _message(self, rng: random.Random, control_id: str) -> bytes:
        if self._real and rng.random() < 0.3:
            message = relabelled(rng.choice(self._real), control_id)
        else:
            message = Messages(rng).any(control_id)
        return message if rng.random() < SOUND else mutate(message, rng)


def framed(message: bytes, rng: random.Random) -> bytes:
    """Wrap a message as senders should not."""
    at = rng.randrange(len(message) + 1)
    return rng.choice(
        (
            VT + message + FS,  # the CR is missing
            VT + message,  # so is the end
            message + FS + CR,  # the beginning
            message,
            VT + VT + message + FS + CR,
            VT + message[:at] + VT + message + FS + CR,  # started over
            VT + message[:at] + FS + CR + message[at:] + FS + CR,
            VT + message[:at] + FS + CR,  # cut
            VT + message + CR + FS + CR + FS + CR,
            VT + FS + CR,
            VT + rng.choice((b" ", b"\r", b"\r\n\r\n", b"\xef\xbb\xbf", b"M", b"MSH", b"MSH|", b"MSH|^~\\&")) + FS + CR,
            rng.randbytes(rng.randrange(1, 300)),
            VT + rng.randbytes(rng.randrange(1, 300)) + FS + CR,
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01\x02\x00" + rng.randbytes(40),  # TLS
            CR + b"\n" + VT + message + FS + CR + b"\n",
        )
    )


def _pieces(parts: Sequence[bytes], rng: random.Random) -> list[bytes]:
    """Glue and split: each part for itself, all at once, or cut anywhere."""
    how = rng.random()
    data = b"".join(parts)
    if how < 0.3:
        return list(parts)
    if how < 0.6:
        return [data]
    pieces: list[bytes] = []
    start = 0
    while start < len(data):
        size = rng.choice((1, 2, 7, 100, 1000, 5000, 30_000))
        pieces.append(data[start : start + size])
        start += size
    return pieces
