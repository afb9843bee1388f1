r"""Delimiters and escape sequences (HL7 v2.5.1 section 2.7; ``\P\`` for the truncation character since v2.7)."""

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
_FORMAT = re.compile(r"\.(br|sp|sk|in|ti)\s*\+?(-?\d+)?\Z")
_HEXADECIMAL = re.compile(r"X((?:[0-9A-Fa-f]{2})+)\Z")
_SHIFTS: Mapping[str, str] = {
    "C2842": "",  # ISO-IR 6
    "C284A": "",  # ISO-IR 14, whose letters are ASCII's
    "C2949": "",  # ISO-IR 13; this one and those below are read as part of the message's own set
    **dict.fromkeys(("C2D41", "C2D42", "C2D43", "C2D44", "C2D4C", "C2D47", "C2D46", "C2D48", "C2D4D"), ""),
    "M2442": "$B",  # ISO-IR 87, JIS X 0208
    "M242844": "$(D",  # ISO-IR 159, JIS X 0212
}
r"""``\Cxxyy\`` and ``\Mxxyyzz\`` (HL7 v2.3 section 2.9.2): the set of the text behind them, as ISO 2022 calls it.

Only the two of double bytes change how it is read.
"""
_COUNT_MAX = 20
"""Longest run of blanks or lines that one formatting command gives: the count comes from the sender, and a message must
not become many times as long as it is."""


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
    bytes mean in UTF-8, and text behind ``\M2442\`` is read as JIS X 0208. What is no escape sequence (a lone escape
    character, a Windows path) stays as it is.
    """
    e = delimiters.escape
    if e not in text:
        return text
    pieces = text.split(e)
    runs: list[tuple[str, list[str]]] = [("", [pieces[0]])]
    index = 1
    while index < len(pieces):
        sequence, ended = pieces[index], index + 1 < len(pieces)
        if ended and sequence in _SHIFTS:
            runs.append((_SHIFTS[sequence], [pieces[index + 1]]))
            index += 2
        elif ended and (meaning := _meaning(sequence, delimiters)) is not None:
            runs[-1][1].extend((meaning, pieces[index + 1]))
            index += 2
        else:
            runs[-1][1].extend((e, sequence))
            index += 1
    return _LINE_ENDS.sub("\n", "".join(_shifted(shift, "".join(texts)) for shift, texts in runs))


def _shifted(shift: str, text: str) -> str:
    """Read a run in the set that was shifted to; what is not in it stays as it is."""
    if not shift or not text.isascii():
        return text
    try:
        return f"\x1b{shift}{text}\x1b(B".encode("ascii").decode("iso2022_jp_2")
    except UnicodeDecodeError:
        return text


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
        "P": "#",
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
