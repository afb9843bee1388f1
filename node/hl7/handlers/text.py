"""The text of a document, out of its OBX segments (HL7 v2.5.1 sections 7.4.2 and 2.A.24)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable

from node.errors import Hl7InputError
from node.hl7.escape import unescape
from node.hl7.handlers.markup import text_of_html
from node.hl7.message import Segment, part

TEXT_TYPES = frozenset({"TX", "FT", "ST"})
WITHDRAWN = frozenset({"D", "W", "X"})
"""OBX-11 (table 0085): to be deleted; posted wrongly, as under another patient; no result can be had."""
NO_TEXT = WITHDRAWN | {"O"}
"""OBX-11 of what is no text of the document: O is a detail of the order, such as the Study Instance UID."""
_TEXT_KINDS = frozenset({"TEXT", "TX", "FT"})
_PLAIN = frozenset({"", "PLAIN", "TXT", "TEXT", "TEXT/PLAIN"})
_HTML = frozenset({"HTML", "TEXT/HTML", "XHTML", "XHTML+XML"})


NARRATIVE = frozenset(
    {
        *("GDT", "MDT", "IMP", "REC"),  # description, secondary description, impression, recommendation
        *("18748-4", "18782-3", "19005-8", "59776-5"),  # LOINC: imaging study, its observation, impression; findings
    }
)
"""OBX-3 of text that is a report also where numbers stand beside it: suffixes (v2.3 section 7.1.3) and LOINC codes."""


def text_of(segments: Iterable[Segment], codec: str) -> str:
    """Return the text of OBX segments, one line each and one for each repetition; no text gives ""."""
    lines = [line for obx in segments if (line := _line(obx, codec)) is not None]
    return "\n".join(lines).strip("\n")


def is_text(obx: Segment) -> bool:
    """Whether a segment holds running text."""
    return obx.get(2) in ("TX", "FT") or (obx.get(2) == "ED" and bool(_kind(obx.raw(5))))


def is_narrative(obx: Segment) -> bool:
    """Whether a segment says of itself that it is the text of a report, by code or by suffix (``24590-2&IMP``)."""
    codes = (obx.get(3), obx.get(3, 1, 2), obx.get(3, 4), obx.get(3, 4, 2))
    return is_text(obx) and any(code in NARRATIVE for code in codes)


def _line(obx: Segment, codec: str) -> str | None:
    if obx.get(11) in NO_TEXT:
        return None
    if obx.get(2) in TEXT_TYPES:
        # Repetitions are lines (section 2.A.78); a caret is text here, escaped or not.
        return "\n".join(unescape(repetition).rstrip() for repetition in obx.repetitions(5))
    if obx.get(2) != "ED" or not (kind := _kind(obx.raw(5))):
        return None
    text = _encapsulated(obx.raw(5), codec)
    return text_of_html(text) if kind == "html" else text


def _kind(field: str) -> str:
    """Return "plain" or "html" where ED holds text, else "".

    Type (component 2) and subtype (3) are as HL7 tables 0191 and 0291 or as MIME say it; RTF, PDF and CDA are no text.
    """
    kind, subtype = part(field, 2).upper(), part(field, 3).upper()
    if kind in _TEXT_KINDS | {"TEXT/PLAIN"} and subtype in _PLAIN:
        return "plain"
    if (kind in _TEXT_KINDS | {"AP", "APPLICATION"} and subtype in _HTML) or (kind in _HTML and not subtype):
        return "html"
    return ""


def _encapsulated(field: str, codec: str) -> str:
    data = field.split("^", 4)[4] if field.count("^") >= 4 else ""
    encoding = part(field, 4).upper()
    if encoding not in ("BASE64", "HEX"):
        return unescape(data)
    raw = _bytes(data, encoding)
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


def _bytes(data: str, encoding: str) -> bytes:
    """Decode ED.5 (table 0299); line ends within it do not matter."""
    compact = re.sub(r"\s|\\\.br\\|\\X0[AD]\\", "", data)
    try:
        return bytes.fromhex(compact) if encoding == "HEX" else base64.b64decode(compact, validate=True)
    except (binascii.Error, ValueError) as exc:
        name = "hexadecimal" if encoding == "HEX" else "Base64"
        raise Hl7InputError(f"OBX-5 is not valid {name}", error_code="102", location="OBX^1^5") from exc
