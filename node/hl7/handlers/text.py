"""The text of a document, out of its OBX segments (HL7 v2.5.1 sections 7.4.2 and 2.A.24)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable

from node.errors import Hl7InputError
from node.hl7.escape import unescape
from node.hl7.message import Segment, part

TEXT_TYPES = frozenset({"TX", "FT", "ST"})
NO_TEXT = frozenset({"D", "X", "O"})
"""OBX-11 (table 0085): to be deleted; no result can be had; a detail of the order, such as the Study Instance UID."""


def text_of(segments: Iterable[Segment], codec: str) -> str:
    """Return the text of OBX segments, one line each and one for each repetition; no text gives ""."""
    lines = [line for obx in segments if (line := _line(obx, codec)) is not None]
    return "\n".join(lines).strip("\n")


def is_text(obx: Segment) -> bool:
    """Whether a segment holds running text."""
    return obx.get(2) in ("TX", "FT") or (obx.get(2) == "ED" and _is_plain(obx.raw(5)))


def _line(obx: Segment, codec: str) -> str | None:
    if obx.get(11) in NO_TEXT:
        return None
    if obx.get(2) in TEXT_TYPES:
        # Repetitions are lines (section 2.A.78); a caret is text here, escaped or not.
        return "\n".join(unescape(repetition).rstrip() for repetition in obx.repetitions(5))
    if obx.get(2) == "ED" and _is_plain(obx.raw(5)):
        return _encapsulated(obx.raw(5), codec)
    return None


def _is_plain(field: str) -> bool:
    """Whether ED holds plain text: type (component 2) and subtype (3), as HL7 tables 0191 and 0291 or MIME say it."""
    kind, subtype = part(field, 2).upper(), part(field, 3).upper()
    return kind in ("TEXT", "TX", "FT") and subtype in ("", "PLAIN", "TXT", "TEXT", "TEXT/PLAIN")


def _encapsulated(field: str, codec: str) -> str:
    data = field.split("^", 4)[4] if field.count("^") >= 4 else ""
    if part(field, 4).upper() != "BASE64":
        return unescape(data)
    try:
        raw = base64.b64decode(re.sub(r"\s|\\\.br\\|\\X0[AD]\\", "", data), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise Hl7InputError("OBX-5 is not valid Base64", error_code="102", location="OBX^1^5") from exc
    for name in (codec, "utf_8"):  # UTF-8 proves itself; no other set is tried
        try:
            return raw.decode(name).replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
        except UnicodeDecodeError:
            continue
    raise Hl7InputError(
        "the encapsulated text is neither in the message's character set nor UTF-8",
        error_code="102",
        location="OBX^1^5",
    )
