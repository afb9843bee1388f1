r"""A fast, pure reader of HL7 v2 messages: bytes in, segments out, nothing guessed.

The reader knows the encoding rules (HL7 v2.5.1 sections 2.5 to 2.7) and no message structures. Whatever delimiters the
sender chose, :func:`parse` gives segments in the standard ones (``|^~\&``): the rest of the node knows only these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from node.errors import Hl7InputError
from node.hl7 import charset
from node.hl7.escape import STANDARD, Delimiters, escape, unescape

_SEGMENT_NAME = re.compile(r"[A-Z][A-Z0-9]{2}\Z")
_LINES = re.compile(r"[\r\n]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SPECIAL = re.compile(r"[|^~\\&\x00-\x1f\x7f]")
"""What cannot stand in a value as it is."""
_TEXT_SEGMENTS = ("OBX", "NTE")
"""Segments whose text some senders break with raw line ends; the pieces are joined again."""
CONTROL_ID_MAX = 199
"""Longest MSH-10 that is taken (v2.7; before it 20): it has to be given back whole."""
HEADER_MAX = 8192
"""Longest MSH that is taken, in bytes: an answer goes by what it says, also one to half a message."""
SEGMENTS_MAX = 20_000
"""Most segments of a message that is taken: real ones have hundreds, and each can cost a row."""
_ECHO_MAX = 1000
"""Longest field of MSH that an acknowledgement gives back."""
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment; ``fields[n]`` is field *n* as sent, with standard delimiters and its escape sequences."""

    name: str
    fields: tuple[str, ...]

    def raw(self, field: int) -> str:
        """Return field ``field`` as sent, "" where it is missing."""
        return self.fields[field] if field < len(self.fields) else ""

    def repetitions(self, field: int) -> list[str]:
        """Return the repetitions of a field, as sent; none for an empty field."""
        text = self.raw(field)
        return text.split("~") if text else []

    def get(self, field: int, component: int = 1, subcomponent: int = 1, *, repetition: int = 0) -> str:
        """Return one value, unescaped and stripped, "" where it is missing or the explicit null."""
        text = self.fields[field] if field < len(self.fields) else ""
        if repetition or "~" in text:
            repetitions = text.split("~")
            text = repetitions[repetition] if repetition < len(repetitions) else ""
        return part(text, component, subcomponent) if text else ""

    @property
    def text(self) -> str:
        """The whole segment as sent."""
        fields = self.fields[:1] + self.fields[2:] if self.name == "MSH" else self.fields
        return "|".join(fields)


def part(text: str, component: int, subcomponent: int = 1) -> str:
    """Return one component of a repetition, unescaped and stripped."""
    components = text.split("^", component)
    if component > len(components):
        return ""
    value = components[component - 1]
    if subcomponent > 1 or "&" in value:
        subcomponents = value.split("&", subcomponent)
        value = subcomponents[subcomponent - 1] if subcomponent <= len(subcomponents) else ""
    if value == '""':
        return ""
    return (unescape(value) if "\\" in value else value).strip()


@dataclass(frozen=True, slots=True)
class Header:
    """MSH as far as it could be read: enough to answer by, also where the rest is broken. Values are as sent."""

    delimiters: Delimiters = STANDARD
    sending_application: str = ""
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    code: str = ""
    trigger: str = ""
    control_id: str = ""
    processing_id: str = ""
    version: str = ""
    charset: str = ""

    @property
    def type(self) -> str:
        """Message code and trigger event, as ``ORM^O01``."""
        return f"{self.code}^{self.trigger}" if self.trigger else self.code

    @property
    def sender(self) -> str:
        """Sending application and facility, the space in which control ids are unique."""
        return f"{self.sending_application}|{self.sending_facility}"


@dataclass(frozen=True, slots=True)
class Hl7Message:
    """A message that was understood."""

    header: Header
    segments: tuple[Segment, ...]
    codec: str

    def first(self, name: str) -> Segment | None:
        """Return the first segment of that name."""
        return next(self.all(name), None)

    def all(self, name: str) -> Iterator[Segment]:
        """Yield the segments of that name in order."""
        return (segment for segment in self.segments if segment.name == name)

    def require(self, name: str) -> Segment:
        """Return the first segment of that name, or refuse the message (code 100, segment sequence error)."""
        segment = self.first(name)
        if segment is None:
            raise Hl7InputError(f"segment {name} is missing", error_code="100", location=f"{name}^1")
        return segment


def header_line(raw: bytes) -> bytes:
    """Return the bytes of MSH, or what stands in its place; at most :data:`HEADER_MAX` of them."""
    return re.split(rb"[\r\n]", raw.removeprefix(charset.BOM).lstrip(b"\r\n \t")[:HEADER_MAX], maxsplit=1)[0]


def peek(raw: bytes) -> Header:
    """Read as much of MSH as there is; never raises."""
    line = header_line(raw)
    if line[:3] != b"MSH" or len(line) < 8:
        return Header()
    delimiters = _delimiters(line.decode("latin_1"))
    if delimiters is None:
        return Header()
    declared = line.split(delimiters.field.encode("latin_1"))
    named = declared[17].decode("ascii", "replace") if len(declared) > 17 else ""
    text = charset.lenient(line, named.replace(delimiters.repetition, "~"))
    values = [_CONTROL.sub("", value)[:_ECHO_MAX] for value in text.split(delimiters.field)] + [""] * 20
    kind = [*values[8].split(delimiters.component), ""]
    return Header(
        delimiters=delimiters,
        sending_application=values[2],
        sending_facility=values[3],
        receiving_application=values[4],
        receiving_facility=values[5],
        code=kind[0].strip(),
        trigger=kind[1].strip(),
        control_id=values[9].strip(),
        processing_id=values[10],
        version=values[11].split(delimiters.component)[0].strip(),
        charset=values[17].replace(delimiters.repetition, "~").strip(),
    )


def parse(raw: bytes, default_charset: str = "ASCII", charsets: Mapping[str, str] = _NONE) -> Hl7Message:
    """Read a message.

    Parameters
    ----------
    raw
        The message without its MLLP frame; any line ends.
    default_charset
        Name of table 0211 that holds where MSH-18 is empty.
    charsets
        What holds instead for a sender, by ``MSH-3|MSH-4`` or, where that is not among them, by MSH-3.

    Raises
    ------
    Hl7InputError
        The only exception, whatever the bytes are; with ``ack="AR"`` where MSH itself is broken.
    """
    header = check_header(raw)
    default = charsets.get(header.sender) or charsets.get(header.sending_application) or default_charset
    text, codec = charset.decode(raw, header.charset, default)
    lines = _lines(text, header.delimiters)
    segments = tuple(_segment(line, header.delimiters) for line in lines)
    return Hl7Message(header, segments, codec)


def check_header(raw: bytes) -> Header:
    """Return MSH if it can be read and has what every message needs.

    Raises
    ------
    Hl7InputError
        With ``ack="AR"`` otherwise.
    """
    body = raw.removeprefix(charset.BOM).lstrip(b"\r\n \t")
    if not body.startswith(b"MSH"):
        raise _broken("the message does not begin with MSH", "100", "MSH^1")
    line = re.split(rb"[\r\n]", body, maxsplit=1)[0].decode("latin_1")
    if len(line) > HEADER_MAX:
        raise _broken(f"MSH is longer than {HEADER_MAX} bytes", "104", "MSH^1")
    if len(line) < 9 or _delimiters(line) is None:
        raise _broken("MSH-1 and MSH-2 must be a separator and four distinct encoding characters", "102", "MSH^1^2")
    header = peek(raw)
    if not header.code:
        raise _broken("MSH-9 (message type) is missing", "101", "MSH^1^9")
    if not header.control_id:
        raise _broken("MSH-10 (message control id) is missing", "101", "MSH^1^10")
    if len(header.control_id) > CONTROL_ID_MAX:
        raise _broken("MSH-10 (message control id) is too long", "104", "MSH^1^10")
    if header.version and not re.fullmatch(r"2(\.\d+){1,2}", header.version):
        raise _broken("MSH-12 names a version other than 2.x", "203", "MSH^1^12")
    return header


def _broken(message: str, code: str, location: str) -> Hl7InputError:
    return Hl7InputError(message, error_code=code, location=location, ack="AR")


def _delimiters(line: str) -> Delimiters | None:
    """Read MSH-1 and MSH-2 (section 2.5.4); None unless they are five distinct characters fit to separate."""
    field = line[3:4]
    encoding = line[4:].split(field, 1)[0] if field else ""
    characters = field + encoding[:4]  # v2.7 adds a truncation character, which is for the sender to use
    good = len(characters) == 5 and len(set(characters)) == 5 and len(encoding) <= 5
    if not good or any(c.isalnum() or not " " < c < "\x7f" for c in characters):
        return None
    return Delimiters(*characters)


def _lines(text: str, delimiters: Delimiters) -> list[str]:
    """Split into segments; a line that is none continues the text of the OBX or NTE before it."""
    found: list[list[str]] = []
    for number, line in enumerate(filter(None, _LINES.split(text)), 1):
        if number == 1:
            found.append([line.lstrip()])
        elif not line.strip():
            continue
        elif _is_segment(line, delimiters, after=found[-1][0]):
            found.append([line])
        elif found[-1][0].startswith(_TEXT_SEGMENTS):
            found[-1].append(line)
        else:
            raise Hl7InputError(f"line {number} is not a segment", error_code="100")
        if len(found) > SEGMENTS_MAX:
            raise Hl7InputError(f"the message has more than {SEGMENTS_MAX} segments", error_code="104")
    line_end = f"{delimiters.escape}.br{delimiters.escape}"
    return [line_end.join(pieces) for pieces in found]


def _is_segment(line: str, delimiters: Delimiters, after: str) -> bool:
    """Whether a line is a segment; after a text, three capitals alone ("HPI", "MRI") are more of the text."""
    name, separator, _ = line.partition(delimiters.field)
    return _SEGMENT_NAME.match(name.strip()) is not None and (bool(separator) or not after.startswith(_TEXT_SEGMENTS))


def _segment(line: str, delimiters: Delimiters) -> Segment:
    fields = line.split(delimiters.field)
    name = fields[0].strip()
    if delimiters != STANDARD:
        fields = (
            [*fields[:2], *(_standard(f, delimiters) for f in fields[2:])]
            if name == "MSH"
            else [_standard(f, delimiters) for f in fields]
        )
    if name == "MSH":  # MSH-1 is the separator itself, so MSH-2 follows the name
        return Segment(name, ("MSH", "|", "^~\\&", *fields[2:]))
    return Segment(name, (name, *fields[1:]))


def _standard(field: str, delimiters: Delimiters) -> str:
    """Write a field with the standard delimiters."""

    def leaf(text: str) -> str:
        if delimiters.escape not in text and _SPECIAL.search(text) is None:
            return text
        return escape(unescape(text, delimiters))

    return "~".join(
        "^".join(
            "&".join(leaf(sub) for sub in component.split(delimiters.subcomponent))
            for component in repetition.split(delimiters.component)
        )
        for repetition in field.split(delimiters.repetition)
    )
