"""A service user that sends exactly the bytes it is told to: PDUs by PS3.8 section 9.3, without a library."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.node.dicom.conftest import Node
from tests.node.dicom.objects import EXPLICIT, IMPLICIT, MR

VERIFICATION = "1.2.840.10008.1.1"
COMMITMENT = "1.2.840.10008.1.20.1"
ABORT, REJECT, ACCEPT, DATA, RELEASE_RQ, RELEASE_RP = 7, 3, 2, 4, 5, 6
COMMAND, LAST = 1, 2

AFFECTED_CLASS, REQUESTED_CLASS, FIELD, MESSAGE_ID, RESPONDED_TO = 0x0002, 0x0003, 0x0100, 0x0110, 0x0120
PRIORITY, DATA_SET_TYPE, STATUS, COMMENT = 0x0700, 0x0800, 0x0900, 0x0902
AFFECTED_INSTANCE, REQUESTED_INSTANCE, EVENT_TYPE, ACTION_TYPE = 0x1000, 0x1001, 0x1002, 0x1008

Contexts = Mapping[int, tuple[str, Sequence[str]]]
STORAGE: Contexts = {1: (MR, [EXPLICIT]), 3: (VERIFICATION, [IMPLICIT]), 5: (COMMITMENT, [IMPLICIT])}


def pdu(kind: int, body: bytes) -> bytes:
    """Return a PDU."""
    return struct.pack(">BxL", kind, len(body)) + body


def item(kind: int, body: bytes) -> bytes:
    """Return an item of an A-ASSOCIATE-RQ."""
    return struct.pack(">BxH", kind, len(body)) + body


def request(
    contexts: Contexts = STORAGE,
    *,
    calling: str = "RAW",
    called: str = "OVERREAD",
    max_pdu: int | None = 16384,
    application: str = "1.2.840.10008.3.1.1.1",
    version: int = 1,
) -> bytes:
    """Return an A-ASSOCIATE-RQ."""
    proposed = b"".join(
        item(
            0x20,
            bytes((number, 0, 0, 0))
            + item(0x30, abstract.encode())
            + b"".join(item(0x40, syntax.encode()) for syntax in syntaxes),
        )
        for number, (abstract, syntaxes) in contexts.items()
    )
    length = b"" if max_pdu is None else item(0x51, struct.pack(">L", max_pdu))
    user = item(0x50, length + item(0x52, b"1.2.3.4"))
    titles = called.encode().ljust(16) + calling.encode().ljust(16) + bytes(32)
    return pdu(1, struct.pack(">HH", version, 0) + titles + item(0x10, application.encode()) + proposed + user)


def pdv(context: int, flags: int, data: bytes) -> bytes:
    """Return a presentation data value."""
    return struct.pack(">LBB", len(data) + 2, context, flags) + data


def fragments(context: int, kind: int, data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """Cut a command (``kind`` COMMAND) or a data set (0) into values of the sizes given; the rest is the last."""
    position = 0
    for size in sizes:
        if position + size >= len(data):
            break
        yield pdv(context, kind, data[position : position + size])
        position += size
    yield pdv(context, kind | LAST, data[position:])


def command(values: Mapping[int, int | str]) -> bytes:
    """Encode a command set, its group length included."""
    body = b""
    for number, value in sorted(values.items()):
        raw = struct.pack("<H", value) if isinstance(value, int) else value.encode("latin-1")
        raw += b"\0" * (len(raw) % 2)
        body += struct.pack("<HHL", 0, number, len(raw)) + raw
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def store_command(sop_instance: str, sop_class: str = MR, number: int = 1) -> bytes:
    """Encode a C-STORE-RQ."""
    elements: dict[int, int | str] = {
        AFFECTED_CLASS: sop_class, FIELD: 0x0001, MESSAGE_ID: number, PRIORITY: 2, DATA_SET_TYPE: 1,
        AFFECTED_INSTANCE: sop_instance,
    }  # fmt: skip
    return command(elements)


def echo_command(number: int = 1) -> bytes:
    """Encode a C-ECHO-RQ."""
    return command({AFFECTED_CLASS: VERIFICATION, FIELD: 0x0030, MESSAGE_ID: number, DATA_SET_TYPE: 0x0101})


def store(context: int, sop_instance: str, data: bytes, number: int = 1, piece: int = 16000) -> bytes:
    """Return the PDUs of a whole C-STORE-RQ."""
    values = [pdv(context, COMMAND | LAST, store_command(sop_instance, number=number))]
    values += fragments(context, 0, data, [piece] * (len(data) // piece + 1))
    return b"".join(pdu(DATA, value) for value in values)


@dataclass
class Message:
    """What the node said: its command set, and the data set behind it."""

    context: int
    values: dict[int, bytes]
    data: bytes = b""
    longest: int = field(default=0)

    def number(self, element: int) -> int | None:
        """Return a US."""
        return int.from_bytes(self.values[element], "little") if element in self.values else None

    def text(self, element: int) -> str:
        """Return a text."""
        return self.values.get(element, b"").decode().rstrip("\0 ")

    @property
    def status(self) -> int | None:
        """The status."""
        return self.number(STATUS)


class Raw:
    """A connection to a node."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        connection.settimeout(10)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def pdu(self) -> tuple[int, bytes]:
        """Read a PDU; type 0 if the connection is closed or reset."""
        try:
            head = self._exactly(6)
            kind, length = struct.unpack(">BxL", head)
            return kind, self._exactly(length)
        except (ConnectionError, EOFError):
            return 0, b""

    def message(self) -> Message:
        """Read a message."""
        parts: dict[int, bytearray] = {COMMAND: bytearray(), 0: bytearray()}
        result: Message | None = None
        longest = 0
        while True:
            kind, body = self.pdu()
            assert kind == DATA, f"PDU {kind} {body.hex()}"
            longest = max(longest, len(body))
            position = 0
            while position < len(body):
                size, context, flags = struct.unpack_from(">LBB", body, position)
                parts[flags & COMMAND] += body[position + 6 : position + 4 + size]
                position += 4 + size
                if flags & LAST and flags & COMMAND:
                    result = Message(context, _elements(bytes(parts[COMMAND])))
                    if result.number(DATA_SET_TYPE) == 0x0101:
                        result.longest = longest
                        return result
                elif flags & LAST:
                    assert result is not None
                    result.data, result.longest = bytes(parts[0]), longest
                    return result

    def release(self) -> None:
        """Release the association."""
        self.send(pdu(RELEASE_RQ, bytes(4)))
        assert self.pdu()[0] == RELEASE_RP

    def aborted(self) -> tuple[int, int]:
        """Return source and reason of the A-ABORT that comes, behind whatever else does."""
        while True:
            kind, body = self.pdu()
            assert kind, "the connection was closed without an A-ABORT"
            if kind == ABORT:
                return body[2], body[3]

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)


def _elements(data: bytes) -> dict[int, bytes]:
    found, position, before = {}, 0, -1
    while position < len(data):
        group, number, length = struct.unpack_from("<HHL", data, position)
        assert group == 0
        assert number > before, "the elements are not in ascending order"
        before, position = number, position + 8
        found[number] = data[position : position + length]
        position += length
    assert found.pop(0) == struct.pack("<L", len(data) - 12)
    return found


@contextmanager
def connected(node: Node, tls: ssl.SSLContext | None = None) -> Iterator[Raw]:
    """Open a connection."""
    plain = socket.create_connection(("127.0.0.1", node.receiver.port), 10)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with plain if tls is None else tls.wrap_socket(plain, server_hostname="localhost") as connection:
        yield Raw(connection)


@contextmanager
def raw_association(node: Node, contexts: Contexts = STORAGE, **values: Any) -> Iterator[Raw]:
    """Open an association."""
    with connected(node) as raw:
        raw.send(request(contexts, **values))
        kind, _ = raw.pdu()
        assert kind == ACCEPT
        yield raw
