"""Small damages to bytes, by a random source that is given: the same source, the same damage."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

INTERESTING = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFE,
    0xFFFFFFFF,
)
LONGEST = 1 << 18
"""What grows beyond this is not made longer."""


def flip(data: bytearray, chance: random.Random) -> None:
    """Flip a bit."""
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def overwrite(data: bytearray, chance: random.Random) -> None:
    """Overwrite a byte."""
    data[chance.randrange(len(data))] = chance.choice((0, 0x7F, 0x80, 0xFF, chance.randrange(256)))


def lie(data: bytearray, chance: random.Random) -> None:
    """Overwrite what may be a length."""
    width = chance.choice((2, 4))
    value = chance.choice((*INTERESTING, chance.randrange(1 << 32))) & ((1 << (8 * width)) - 1)
    position = chance.randrange(len(data))
    data[position : position + width] = value.to_bytes(width, chance.choice(("little", "big")))


def nudge(data: bytearray, chance: random.Random) -> None:
    """Add a little to what may be a length, or take it away."""
    position = chance.randrange(len(data))
    data[position] = (data[position] + chance.choice((-4, -2, -1, 1, 2, 4))) % 256


def truncate(data: bytearray, chance: random.Random) -> None:
    """Cut the end off."""
    del data[chance.randrange(len(data)) :]


def drop(data: bytearray, chance: random.Random) -> None:
    """Take a piece out."""
    start = chance.randrange(len(data))
    del data[start : start + chance.choice((1, 2, 4, 8, 16, 100))]


def insert(data: bytearray, chance: random.Random) -> None:
    """Put noise in."""
    start = chance.randrange(len(data) + 1)
    data[start:start] = chance.randbytes(chance.choice((1, 2, 4, 8, 64)))


def repeat(data: bytearray, chance: random.Random) -> None:
    """Repeat a piece."""
    start = chance.randrange(len(data))
    piece = data[start : start + chance.choice((2, 8, 16, 64, 300))]
    if len(data) < LONGEST:
        data[start:start] = piece * chance.choice((1, 1, 2, 20))


def move(data: bytearray, chance: random.Random) -> None:
    """Copy a piece over another place."""
    source, target = chance.randrange(len(data)), chance.randrange(len(data))
    count = chance.choice((2, 4, 8, 32))
    data[target : target + count] = data[source : source + count]


DAMAGES: Sequence[Callable[[bytearray, random.Random], None]] = (
    flip, flip, overwrite, overwrite, lie, lie, lie, nudge, nudge, truncate, drop, insert, repeat, move,
)  # fmt: skip


def damaged(data: bytes, chance: random.Random, most: int = 4) -> bytes:
    """Return the data with one to ``most`` damages."""
    found = bytearray(data)
    for _ in range(chance.randint(1, most)):
        if found:
            chance.choice(DAMAGES)(found, chance)
    return bytes(found)


def spliced(first: bytes, second: bytes, chance: random.Random) -> bytes:
    """Return the beginning of one and the end of the other."""
    return first[: chance.randrange(len(first) + 1)] + second[chance.randrange(len(second) + 1) :]
