"""A multipart body taken apart as it arrives (RFC 2046 section 5.1): bytes in, events out.

Nothing here knows a socket, and no more than one chunk, one boundary and one part's headers are held at a time, so a
body of any size costs the same memory. The parser is strict where leniency would change a part's bytes: lines end with
CRLF, and a body without its closing boundary is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from node.errors import InputError

MAX_BOUNDARY = 70
"""RFC 2046 section 5.1.1."""
MAX_HEADER_BYTES = 8192
"""Headers of one part; those of DICOMweb have some hundred bytes."""
MAX_HEADERS = 32
MAX_PREAMBLE_BYTES = 8192
"""Bytes before the first boundary, which mean nothing (RFC 2046 section 5.1.1)."""
MAX_PADDING_BYTES = 256
"""White space between a boundary and the end of its line."""

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]*[0-9A-Za-z'()+_,\-./:=?]", re.ASCII)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
_PARAMETER = re.compile(r"""[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^;" \t]*)[ \t]*""", re.ASCII)
_CRLF = b"\r\n"


class MultipartError(InputError):
    """The body is not the multipart message that its header promised."""


@dataclass(frozen=True, slots=True)
class PartBegin:
    """A part begins; header names are lower case."""

    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartData:
    """The next bytes of the part."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part is whole."""


Event = PartBegin | PartData | PartEnd


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type in lower case and its parameters, whose names are in lower case (RFC 9110 section 8.3.1)."""

    name: str
    parameters: Mapping[str, str]


def media_type(value: str) -> MediaType:
    """Read a ``Content-Type`` value.

    Raises
    ------
    MultipartError
        If it is none, or a parameter is given twice.
    """
    name, semicolon, rest = value.partition(";")
    major, slash, minor = name.strip().lower().partition("/")
    if not (slash and _TOKEN.fullmatch(major) and _TOKEN.fullmatch(minor)):
        raise MultipartError("the Content-Type is not a media type")
    return MediaType(f"{major}/{minor}", _parameters(rest) if semicolon else {})


def boundary_of(media: MediaType) -> bytes:
    """Return the boundary of a multipart type.

    Raises
    ------
    MultipartError
        If it is missing, longer than 70 characters, or has others than RFC 2046 allows.
    """
    value = media.parameters.get("boundary", "")
    if not 0 < len(value) <= MAX_BOUNDARY or not _BOUNDARY.fullmatch(value):
        raise MultipartError("the boundary is missing or not one")
    return value.encode("ascii")


class MultipartParser:
    """Takes a body apart; feed it chunks cut anywhere.

    Parameters
    ----------
    boundary
        As :func:`boundary_of` gives it.
    """

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = _CRLF + b"--" + boundary
        # The first boundary may stand at the very beginning, where no line end comes before it.
        self._buffer = bytearray(_CRLF)
        self._state: Callable[[], tuple[Event, ...] | None] = self._preamble
        self._searched = 0
        self._skip = 0
        self._finished = False

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Take the next bytes and give what they complete; read it to its end before the next call.

        Raises
        ------
        MultipartError
            If the body is not well-formed, or a limit is passed.
        """
        if self._finished:
            return
        self._buffer += chunk
        while (event := self._state()) is not None:
            yield from event

    def close(self) -> None:
        """Say that the body is over.

        Raises
        ------
        MultipartError
            If its closing boundary has not come.
        """
        if not self._finished:
            raise MultipartError("the body ends before its closing boundary")

    # Each state takes what it can from the buffer, and returns its events, or None if it needs more bytes.

    def _preamble(self) -> tuple[Event, ...] | None:
        found = self._find()
        if found is None:
            if len(self._buffer) > MAX_PREAMBLE_BYTES + len(self._delimiter):
                raise MultipartError("no boundary at the beginning of the body")
            return None
        self._take(*found)
        return ()

    def _headers(self) -> tuple[Event, ...] | None:
        # The buffer begins with the line end of the boundary, so that a part without headers looks like any other.
        end = self._buffer.find(_CRLF + _CRLF, 0, MAX_HEADER_BYTES)
        if end < 0:
            if len(self._buffer) >= MAX_HEADER_BYTES:
                raise MultipartError("the headers of a part are too long")
            return None
        headers = _headers(bytes(self._buffer[2:end]))
        # The empty line's end stays: the boundary after a part without a body shares it (RFC 2046 section 5.1.1).
        self._drop(end + 2)
        self._state, self._skip = self._body, 2
        return (PartBegin(headers),)

    def _body(self) -> tuple[Event, ...] | None:
        found = self._find()
        if found is not None:
            data = bytes(self._buffer[self._skip : found[0]])
            self._take(*found)
            return (PartData(data), PartEnd()) if data else (PartEnd(),)
        # What may be the beginning of a boundary stays.
        data = bytes(self._buffer[self._skip : self._searched])
        if not data:
            return None
        self._drop(self._searched)
        self._skip = 0
        return (PartData(data),)

    def _epilogue(self) -> tuple[Event, ...] | None:
        """Drop what follows the closing boundary: it means nothing (RFC 2046 section 5.1.1)."""
        self._finished = True
        self._buffer.clear()
        return None

    def _find(self) -> tuple[int, int, bool] | None:
        """Find a boundary: where it begins, where the line end after it begins, and whether it closes the body.

        Where there is none, ``_searched`` says up to where there is none.
        """
        while (start := self._buffer.find(self._delimiter, self._searched)) >= 0:
            after = start + len(self._delimiter)
            self._searched = start
            tail = bytes(self._buffer[after : after + MAX_PADDING_BYTES + 2])
            if tail.startswith(b"--"):
                return start, after + 2, True
            padding = len(tail) - len(tail.lstrip(b" \t"))
            rest = tail[padding:]
            if rest.startswith(_CRLF):
                return start, after + padding, False
            if tail == b"-" or (rest in (b"", b"\r") and padding <= MAX_PADDING_BYTES):
                return None  # more bytes will tell
            self._searched = after  # a line of the part that begins like a boundary
        self._searched = max(self._searched, len(self._buffer) - len(self._delimiter) + 1)
        return None

    def _take(self, start: int, after: int, closing: bool) -> None:
        self._drop(after)
        self._skip = 0
        self._state = self._epilogue if closing else self._headers

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._searched = 0


def _headers(block: bytes) -> Mapping[str, str]:
    lines = block.split(_CRLF) if block else []
    if len(lines) > MAX_HEADERS:
        raise MultipartError("a part has too many headers")
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not _TOKEN.fullmatch(name):
            raise MultipartError("a part has a header that is none")
        if found.setdefault(name.lower(), value.strip(" \t")) != value.strip(" \t"):
            raise MultipartError("a part has a header twice")
    return found


def _parameters(text: str) -> Mapping[str, str]:
    """Read ``; name=value; name="quoted value"``."""
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _PARAMETER.match(text, position)
        if match is None:
            if text[position:].strip(" \t;"):
                raise MultipartError("the Content-Type has a parameter that is none")
            break
        name, value = match[1].lower(), match[2]
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        if name in found:
            raise MultipartError("the Content-Type has a parameter twice")
        found[name] = value
        position = match.end()
        if position < len(text) and text[position] != ";":
            raise MultipartError("the Content-Type has a parameter that is none")
        position += 1
    return found
