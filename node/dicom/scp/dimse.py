"""DIMSE messages (PS3.7 section 6.3): command sets and the PDUs that carry them.

C-STORE has a codec of its own, a few lines for the nine elements of its command; everything else goes through
pynetdicom's and pydicom's.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.dsutils import decode, encode

from node.dicom.scp.wire import ProtocolError

C_STORE_RQ, N_EVENT_REPORT_RQ = 0x0001, 0x0100
RESPONSE = 0x8000
"""Bit of the Command Field that responses have (PS3.7 table E.1-1)."""
NO_DATA_SET = 0x0101
COMMENT_WIDTH = 64
"""(0000,0902) Error Comment is LO: 64 characters (PS3.7 annex C)."""
COMMAND_BYTES = 1 << 16
"""Longest command set that is read; a C-STORE's has some 200 bytes."""

COMMAND_FIELD, MESSAGE_ID, RESPONDED_TO, DATA_SET_TYPE, STATUS, COMMENT = 0x0100, 0x0110, 0x0120, 0x0800, 0x0900, 0x0902
AFFECTED_CLASS, REQUESTED_CLASS, AFFECTED_INSTANCE, REQUESTED_INSTANCE = 0x0002, 0x0003, 0x1000, 0x1001
PRIORITY, MEDIUM = 0x0700, 0x0000
EVENT_TYPE, ACTION_TYPE = 0x1002, 0x1008

_ELEMENT = struct.Struct("<HHL")
_SHORT = struct.Struct("<HHLH")
_GROUP_LENGTH = struct.Struct("<HHLL")
_PDATA = struct.Struct(">BBLLBB")
_STORE_RSP = _SHORT.pack(0, COMMAND_FIELD, 2, C_STORE_RQ | RESPONSE)
_NO_DATA_SET = _SHORT.pack(0, DATA_SET_TYPE, 2, NO_DATA_SET)


class CommandSet:
    """The elements of a command by their number; implicit VR little endian (PS3.7 section 6.3.1)."""

    def __init__(self, data: bytes | bytearray) -> None:
        self._values: Mapping[int, bytes] = _parse(bytes(data))

    def number(self, element: int) -> int | None:
        """Return a US, or None where it is missing or is not one."""
        value = self._values.get(element, b"")
        return int.from_bytes(value, "little") if len(value) == 2 else None

    def text(self, element: int) -> str:
        """Return a UI or another text; empty where it is missing."""
        return self._values.get(element, b"").decode("latin-1").strip("\0 ")

    def has(self, element: int) -> bool:
        """Whether the element is there and not empty."""
        return bool(self._values.get(element))

    @property
    def has_dataset(self) -> bool:
        """Whether a data set follows."""
        return self.number(DATA_SET_TYPE) != NO_DATA_SET


def _parse(data: bytes) -> Mapping[int, bytes]:
    found: dict[int, bytes] = {}
    position = 0
    while position < len(data):
        if position + 8 > len(data):
            raise ProtocolError("the command set is cut off")
        group, element, length = _ELEMENT.unpack_from(data, position)
        position += 8
        if group != 0 or position + length > len(data):
            raise ProtocolError("the command set is not one")
        found[element] = data[position : position + length]
        position += length
    return found


def store_answer(context: int, request: CommandSet, status: int, comment: str = "") -> bytes:
    """Return the PDU of a C-STORE-RSP (PS3.7 section 9.3.1.2)."""
    sop_class = request.text(AFFECTED_CLASS)
    body = b"".join(
        (
            _affected_class(sop_class) if len(sop_class) <= COMMENT_WIDTH else b"",
            _STORE_RSP,
            _short(RESPONDED_TO, request.number(MESSAGE_ID) or 0),
            _NO_DATA_SET,
            _short(STATUS, status),
            _text(COMMENT, comment[:COMMENT_WIDTH], b" ") if comment else b"",
            _text(AFFECTED_INSTANCE, request.text(AFFECTED_INSTANCE), b"\0"),
        )
    )
    return _PDATA.pack(4, 0, len(body) + 18, len(body) + 14, context, 3) + _GROUP_LENGTH.pack(0, 0, 4, len(body)) + body


@lru_cache(maxsize=256)
def _affected_class(uid: str) -> bytes:
    return _text(AFFECTED_CLASS, uid, b"\0")


def store_request(context: int, sop_class: str, sop_instance: str, message_id: int) -> bytes:
    """Return the PDU of a C-STORE-RQ's command (PS3.7 section 9.3.1.1); the data set follows."""
    body = b"".join(
        (
            _text(AFFECTED_CLASS, sop_class, b"\0"),
            _short(COMMAND_FIELD, C_STORE_RQ),
            _short(MESSAGE_ID, message_id),
            _short(PRIORITY, MEDIUM),
            _short(DATA_SET_TYPE, 1),
            _text(AFFECTED_INSTANCE, sop_instance, b"\0"),
        )
    )
    body = _ELEMENT.pack(0, 0, 4) + len(body).to_bytes(4, "little") + body
    return _PDATA.pack(4, 0, len(body) + 6, len(body) + 2, context, 3) + body


def _short(element: int, value: int) -> bytes:
    return _SHORT.pack(0, element, 2, value)


def _text(element: int, value: str, padding: bytes) -> bytes:
    if not value or len(value) > COMMENT_WIDTH:  # nor is more echoed than a UID has
        return b""
    data = value.encode("ascii", "replace")
    data += padding * (len(data) % 2)
    return _ELEMENT.pack(0, element, len(data)) + data


def message(context: int, command: Dataset, dataset: bytes | None, max_pdu: int) -> bytes:
    """Return the PDUs of a message.

    Parameters
    ----------
    command
        Its command set, without group length and data set type.
    dataset
        The encoded data set, or None.
    max_pdu
        The longest P-DATA-TF that the peer takes; 0: any.
    """
    command.CommandDataSetType = NO_DATA_SET if dataset is None else 1
    body = encode(command, True, True)
    if body is None:
        raise ProtocolError("the command set cannot be encoded")
    body = _ELEMENT.pack(0, 0, 4) + len(body).to_bytes(4, "little") + body
    return pdus(context, body, 1, max_pdu) + (b"" if dataset is None else pdus(context, dataset, 0, max_pdu))


def pdus(context: int, data: bytes | memoryview, command: int, max_pdu: int, *, whole: bool = True) -> bytes:
    """Return P-DATA-TF PDUs, one fragment of a command set (``command`` 1) or of a data set (0) in each.

    Parameters
    ----------
    whole
        Whether the last one ends the command set or the data set.
    """
    room = fragment_bytes(max_pdu)
    parts = [data[start : start + room] for start in range(0, len(data), room)] or [b""]
    return b"".join(
        _PDATA.pack(4, 0, len(part) + 6, len(part) + 2, context, command | (2 if whole and part is parts[-1] else 0))
        + part
        for part in parts
    )


def fragment_bytes(max_pdu: int) -> int:
    """Return the length of the longest fragment that fits a PDU of the peer's."""
    return max((max_pdu or 1 << 17) - 6, 64)


def encode_dataset(dataset: Dataset, transfer_syntax: str) -> bytes:
    """Encode an attribute list.

    Raises
    ------
    ProtocolError
        If it cannot be.
    """
    uid = UID(transfer_syntax)
    data = encode(dataset, uid.is_implicit_VR, uid.is_little_endian, uid.is_deflated)
    if data is None:
        raise ProtocolError("the answer's data set cannot be encoded")
    return data


def decode_dataset(data: bytes | bytearray, transfer_syntax: str) -> Dataset:
    """Decode an attribute list as far as pydicom understands it; every element is read.

    Raises
    ------
    Exception
        Whatever pydicom raises on what it does not understand.
    """
    uid = UID(transfer_syntax)
    dataset = decode(BytesIO(bytes(data)), uid.is_implicit_VR, uid.is_little_endian, uid.is_deflated)
    for _ in dataset.iterall():
        pass
    return dataset
