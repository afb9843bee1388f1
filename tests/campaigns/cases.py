"""One case of the fuzzer: the bytes that a peer sends on one connection, made from a number."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator, Sequence

from tests.campaigns.mutate import INTERESTING, damaged, spliced
from tests.campaigns.seeds import CONTEXTS, HOSTILE, PLACE, Message, messages
from tests.node.dicom.objects import DEFLATED
from tests.node.dicom.scp.raw import pdu, request

RELEASE, ABORT = struct.pack(">BxLL", 5, 4, 0), bytes((7, 0, 0, 0, 0, 4, 0, 0, 0, 0))
PIXELS = b"\xe0\x7f\x10\x00OW\0\0\x3c\0\0\0"
"""Head of the pixel data of the first seed."""
LARGE_SHARE = 0.001
"""Share of cases with an object that does not fit into the receiver's memory."""


class Cases:
    """Makes cases; ``seed`` and the case's number decide on everything."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._messages = messages()

    def case(self, number: int) -> bytes:
        """Return the bytes of a case."""
        chance = random.Random(f"{self._seed}:{number}")
        if chance.random() < LARGE_SHARE:
            return self._large(number, chance)
        chosen = [self._message(number, chance) for _ in range(chance.choice((1, 1, 1, 2, 4)))]
        # Most of the damage is done to one layer, and the others stay in order, or nothing would get past the first.
        layer = chance.choice(("request", "command", "dataset", "dataset", "hostile", "values", "stream", "stream"))
        place = chance.randrange(len(chosen))
        chosen[place] = _damage_message(chosen[place], layer, chance)
        asked = _request(chosen, chance)
        if layer == "request":
            asked = _damage_request(asked, chance)
        parts = [asked, *_pdus(chosen, chance, wild=layer == "values"), chance.choice((RELEASE, RELEASE, ABORT, b""))]
        return self._damage_stream(parts, chance) if layer == "stream" else b"".join(parts)

    def _message(self, number: int, chance: random.Random) -> Message:
        found = chance.choice(self._messages)
        uid = PLACE if chance.random() < 0.1 else f"{PLACE[:-7]}{1_000_001 + number % 8_000_000}"
        old, new = PLACE.encode(), uid.encode()
        dataset = found.dataset
        if dataset is not None and CONTEXTS[found.context][1][0] == DEFLATED:
            dataset = _deflate(zlib.decompress(dataset, -15).replace(old, new))
        elif dataset is not None:
            dataset = dataset.replace(old, new)
        return Message(found.context, found.command.replace(old, new), dataset)

    def _large(self, number: int, chance: random.Random) -> bytes:
        """Return an object that goes into its file in pieces, whole or not."""
        message = self._message_of(0, number)
        assert message.dataset is not None
        assert PIXELS in message.dataset
        size = chance.choice((2_200_000, 2_097_152, 3_300_000, 7_000_000))
        head = message.dataset[: message.dataset.index(PIXELS)]
        dataset = head + PIXELS[:8] + struct.pack("<L", size) + bytes(size)
        if chance.random() < 0.5:
            dataset = dataset[: chance.randrange(len(dataset))]
        large = Message(message.context, message.command, dataset)
        stream = b"".join([_request([large], chance), *_pdus([large, large], chance, pieces=(130_000,)), RELEASE])
        return stream[: chance.randrange(len(stream))] if chance.random() < 0.3 else stream

    def _message_of(self, which: int, number: int) -> Message:
        found = self._messages[which]
        old, new = PLACE.encode(), f"{PLACE[:-7]}{1_000_001 + number % 8_000_000}".encode()
        return Message(found.context, found.command.replace(old, new), (found.dataset or b"").replace(old, new))

    def _damage_stream(self, parts: list[bytes], chance: random.Random) -> bytes:
        """Damage what goes over the wire, or the order of its PDUs."""
        fate = chance.randrange(6)
        if fate == 0:
            return damaged(b"".join(parts), chance)
        place = chance.randrange(len(parts))
        if fate == 1:
            parts[place] = damaged(parts[place], chance)
        elif fate == 2:
            parts.insert(place, _random_pdu(chance))
        elif fate == 3:
            parts[place] *= chance.choice((0, 2, 5))
        elif fate == 4:
            chance.shuffle(parts)
        else:
            other = b"".join([_request(self._messages, chance), *_pdus(self._messages, chance), RELEASE])
            return spliced(b"".join(parts), other, chance)
        return b"".join(parts)


def _damage_message(message: Message, layer: str, chance: random.Random) -> Message:
    command, dataset = message.command, message.dataset
    if layer == "command":
        command = damaged(command, chance)
    elif layer == "dataset" and dataset:
        dataset = damaged(dataset, chance)
    elif layer == "hostile" and dataset is not None:
        bad = chance.choice(HOSTILE)(chance)
        place = chance.choice((0, len(dataset), chance.randrange(len(dataset) + 1)))
        dataset = dataset[:place] + bad + dataset[place:]
    return Message(message.context, command, dataset)


def _damage_request(asked: bytes, chance: random.Random) -> bytes:
    """Damage an A-ASSOCIATE-RQ: as it is, or its body, with a length that is right again."""
    if chance.random() < 0.5:
        return damaged(asked, chance)
    return pdu(1, damaged(asked[6:], chance))


def _request(chosen: Sequence[Message], chance: random.Random) -> bytes:
    used = {message.context for message in chosen}
    contexts = {number: cx for number, cx in CONTEXTS.items() if number in used or chance.random() < 0.1}
    return request(
        contexts, calling=chance.choice(("RAW", "SCANNER 1", "")), max_pdu=chance.choice((16384, 0, 4096, 1))
    )


def _pdus(
    chosen: Sequence[Message], chance: random.Random, *, wild: bool = False, pieces: Sequence[int] = (100, 1000, 16000)
) -> Iterator[bytes]:
    """Yield the PDUs of messages; ``wild`` gives one presentation data value in four a wrong head."""
    for message in chosen:
        values = list(_values(message, chance.choice(pieces)))
        if wild:
            values = [_wrong(value, chance) if chance.random() < 0.25 else value for value in values]
        while values:
            count = chance.choice((1, 1, 1, 3)) if len(values[0]) < 20_000 else 1
            yield pdu(4, b"".join(values[:count]))
            del values[:count]


def _values(message: Message, piece: int) -> Iterator[bytes]:
    for kind, data in ((1, message.command), (0, message.dataset)):
        if data is None:
            continue
        for start in range(0, len(data), piece) or (0,):
            part = data[start : start + piece]
            last = 2 if start + piece >= len(data) else 0
            yield struct.pack(">LBB", len(part) + 2, message.context, kind | last) + part


def _wrong(value: bytes, chance: random.Random) -> bytes:
    length, context, flags = struct.unpack_from(">LBB", value)
    fate = chance.randrange(4)
    if fate == 0:
        length = chance.choice((*INTERESTING, length - 1, length + 1)) & 0xFFFFFFFF
    elif fate == 1:
        context = chance.choice((0, 1, 2, 3, 255, chance.randrange(256)))
    elif fate == 2:
        flags = chance.randrange(256)
    return struct.pack(">LBB", length, context, flags) + (b"" if fate == 3 else value[6:])


def _random_pdu(chance: random.Random) -> bytes:
    kind = chance.choice((*range(9), 0xFF, chance.randrange(256)))
    body = chance.randbytes(chance.choice((0, 1, 4, 68, 200, 2000)))
    length = chance.choice((len(body), len(body), *INTERESTING))
    return struct.pack(">BBL", kind, chance.randrange(2), length) + body


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()
