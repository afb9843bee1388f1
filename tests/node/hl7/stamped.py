"""Messages of which a test says when they were sent."""

from __future__ import annotations


def sent(raw: bytes, stamp: str, control_id: str = "") -> bytes:
    """Return a message with another MSH-7 and, where it is given, another MSH-10."""
    head, end, rest = raw.partition(b"\r")
    fields = head.split(b"|")
    fields[6] = stamp.encode()
    fields[9] = control_id.encode() or fields[9]
    return b"|".join(fields) + end + rest
