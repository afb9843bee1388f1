r"""Delimiters and escape sequences (HL7 v2.5.1 section 2.7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Delimiters:
    """MSH-1 and the first four characters of MSH-2."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"


STANDARD = Delimiters()
_LINE_ENDS = re.compile(r"\r\n|[\r\n]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_CONTROL_BUT_CR = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FORMAT = re.compile(r"\.(br|sp|sk|in|ti)\s*\+?(-?\d*)\Z")
_HEXADECIMAL = re.compile(r"X((?:[0-9A-Fa-f]{2})+)\Z")
_COUNT_MAX = 200
"""Longest run of blanks or lines that one formatting command gives: the count comes from the sender."""


def escape(text: str, delimiters: Delimiters = STANDARD, *, newline: str = ".br") -> str:
    r"""Make ``text`` safe as a value: delimiters escaped, line ends as ``\.br\``, other control characters dropped.

    ``newline=""`` writes a blank for a line end, for data types that are not formatted text.
    """
    e = delimiters.escape
    table: dict[str, str | int | None] = {
        delimiters.field: f"{e}F{e}",
        delimiters.component: f"{e}S{e}",
        delimiters.repetition: f"{e}R{e}",
        delimiters.subcomponent: f"{e}T{e}",
        e: f"{e}E{e}",
        "\n": f"{e}{newline}{e}" if newline else " ",
    }
    clean = _CONTROL.sub("", _LINE_ENDS.sub("\n", text))
    return clean.translate(str.maketrans(table))


def unescape(text: str, delimiters: Delimiters = STANDARD) -> str:
    r"""Resolve the escape sequences of a value.

    Formatting commands become line ends and blanks, highlighting disappears, ``\Xdd..\`` gives the characters that the
    bytes mean in UTF-8. What is no escape sequence (a lone escape character, a Windows path) stays as it is.
    """
    e = delimiters.escape
    if e not in text:
        return text
    pieces = text.split(e)
    out = [pieces[0]]
    index = 1
    while index < len(pieces):
        meaning = _meaning(pieces[index], delimiters) if index + 1 < len(pieces) else None
        if meaning is None:
            out += [e, pieces[index]]
            index += 1
        else:
            out += [meaning, pieces[index + 1]]
            index += 2
    return _LINE_ENDS.sub("\n", "".join(out))


def _meaning(sequence: str, delimiters: Delimiters) -> str | None:
    """Return what stands between two escape characters, or None if that is no escape sequence."""
    known = _plain(delimiters).get(sequence)
    if known is not None:
        return known
    if formatted := _FORMAT.match(sequence):
        command, digits = formatted.groups()
        count = min(int(digits), _COUNT_MAX) if digits and len(digits) < 6 else 1
        return {"br": "\n", "sp": "\n", "sk": " "}.get(command, "") * max(count, 0)
    if hexadecimal := _HEXADECIMAL.match(sequence):
        return _characters(hexadecimal.group(1))
    return None


@lru_cache(maxsize=16)
def _plain(delimiters: Delimiters) -> Mapping[str, str]:
    """Return the sequences that have no argument."""
    return {
        "F": delimiters.field,
        "S": delimiters.component,
        "T": delimiters.subcomponent,
        "R": delimiters.repetition,
        "E": delimiters.escape,
        "H": "",
        "N": "",
        ".br": "\n",
        ".sp": "\n",
        ".ce": "\n",
        ".fi": "",
        ".nf": "",
    }


def _characters(digits: str) -> str | None:
    try:
        return _CONTROL_BUT_CR.sub("", bytes.fromhex(digits).decode("utf_8"))
    except UnicodeDecodeError:
        return None
