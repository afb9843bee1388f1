"""What has to be answered to a stream, by the book: which frames are in it, and what each of them is told.

Frames are found, and acknowledgements read, by code of its own; whether a message can be used is asked of the node's
pure reader, so that what comes over the wire, from another process, has to agree with it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from node.errors import Hl7InputError
from node.hl7 import inbound
from node.hl7.ack import TABLE_0357, wanted
from node.hl7.charset import lenient
from node.hl7.message import peek
from node.settings import Hl7Section

ANSWER = re.compile(rb"\x0b([^\x0b\x1c]*)\x1c\r")
ACCEPT, APPLICATION = ("CA", "CE", "CR"), ("AA", "AE", "AR")
COMMIT: Mapping[str, str] = dict(zip(APPLICATION, ACCEPT, strict=True))
HEAD_BYTES = 8192
"""So much of a message that is too long is read."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a frame is to be told.

    Parameters
    ----------
    control_id
        MSH-10 as it has to stand in MSA-2.
    code, error
        MSA-1 of the answer in order, "" if there is none, and its error code.
    later
        Under which condition of table 0155 the application answers once the message was taken over; "" for never.
    kept
        Whether the message is in the records afterwards.
    used
        Whether it can be used.
    bug
        The error that the node's reader stumbled over, if it is no refusal.
    """

    control_id: str
    code: str
    error: str = ""
    later: str = ""
    kept: bool = False
    used: bool = False
    digest: str = ""
    last: bool = False
    bug: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """An acknowledgement that came."""

    code: str
    control_id: str
    error: str
    unasked: bool
    """Whether it is a message of its own: MSH-15 and MSH-16 are NE."""


def frames(stream: bytes, most: int) -> tuple[list[bytes], bytes | None]:
    """Return the whole frames of a stream, and the beginning of the first one that is too long and ends everything."""
    found: list[bytes] = []
    begun: bytes | None = None
    for token in re.split(rb"([\x0b\x1c])", stream):
        if token == b"\x0b":
            begun = b""
        elif token == b"\x1c":
            if begun is not None:
                found.append(begun)
            begun = None
        elif begun is not None:
            begun = token
            if len(begun) > most:
                return found, begun[:HEAD_BYTES]
    return found, None


def expected(frame: bytes, settings: Hl7Section) -> Expected:
    """Say what a whole frame is to be told."""
    header = peek(frame)
    if header.code in ("ACK", "MCF"):
        return Expected(header.control_id, "")
    digest = hashlib.sha256(frame).hexdigest()
    conditions = wanted(frame, header)
    try:
        inbound.understand(frame, settings)
    except Hl7InputError as exc:
        code = _refusal(conditions.enhanced, conditions.accept, conditions.application, exc.hl7_ack)
        kept = bool(frame.strip())
        return Expected(header.control_id, code, exc.error_code if code else "", kept=kept, digest=digest)
    except Exception as exc:
        return Expected(header.control_id, "", bug=type(exc).__name__)
    if not conditions.enhanced:
        return Expected(header.control_id, "AA", kept=True, used=True, digest=digest)
    code = "CA" if conditions.accept in ("AL", "SU") else ""
    later = conditions.application if conditions.application in ("AL", "ER", "SU") else ""
    return Expected(header.control_id, code, later=later, kept=True, used=True, digest=digest)


def too_long(head: bytes) -> Expected:
    """Say what a message is to be told that exceeds the limit; nothing of it is kept."""
    header = peek(head)
    conditions = wanted(head, header)
    code = _refusal(conditions.enhanced, conditions.accept, conditions.application, "AR")
    return Expected(header.control_id, code, "104" if code else "", last=True)


def _refusal(enhanced: bool, accept: str, application: str, code: str) -> str:
    """Return MSA-1 of a refusal: at the level at which its sender wants to hear of it."""
    if not enhanced:
        return code
    if accept in ("AL", "ER"):
        return COMMIT[code]
    return code if application in ("AL", "ER") else ""


def read(answer: bytes) -> Answer | None:
    """Read an acknowledgement; None if it is none by the book."""
    lines = answer.split(b"\r")
    separator = lines[0][3:4]
    if lines[0][:3] != b"MSH" or not separator or lines[-1] or len(lines) < 3:
        return None
    msh, msa = ([*line.split(separator), *[b""] * 20] for line in lines[:2])
    code = msa[1].decode("ascii", "replace")
    component = lines[0][4:5]
    if msa[0] != b"MSA" or code not in ACCEPT + APPLICATION or msh[8].split(component)[0] != b"ACK" or not msh[9]:
        return None
    errors = [line.split(separator) for line in lines[2:-1]]
    if any(error[0] != b"ERR" for error in errors) or bool(errors) == (code in ("AA", "CA")):
        return None
    error = _error(errors[0]) if errors else ""
    if errors and error not in TABLE_0357:
        return None
    # A mark in front, which is cut: the bytes of a byte order mark may be an id, and lenient() drops them in front.
    control_id = lenient(b"#" + msa[2], peek(answer).charset)[1:]
    return Answer(code, control_id, error, msh[14:16] == [b"NE", b"NE"])


def _error(fields: list[bytes]) -> str:
    """Return the code of ERR-3 (since 2.5) or ERR-1."""
    said = fields[3] if len(fields) > 3 else fields[1]
    found = re.search(rb"(?<![0-9])(\d{3})(?![0-9])", said)
    return found.group(1).decode() if found else ""
