"""Fonts of burned-in text and of the PDF report, and the text that they can show.

The files in ``fonts/`` cover the letters of every character set that PS3.3 C.12.1.1.2 names: the same on every machine,
so that the same result has the same bytes everywhere.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from pathlib import Path

import uharfbuzz  # type: ignore[import-untyped]

FOLDER = Path(__file__).parent / "fonts"

REGULAR = "NotoSans-Regular.ttf"
BOLD = "NotoSans-Bold.ttf"

#: Looked into, in this order, for what REGULAR has not: Arabic, Hebrew and signs; Thai; Chinese, Japanese, Korean.
FALLBACKS = ("DejaVuSans.ttf", "NotoSansThai-Regular.ttf", "DroidSansFallback.ttf")

#: Stands for what no font has.
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

#: Joiners that Persian, Urdu and Indic words are spelt with; every other format character is dropped, since those that
#: turn the direction of writing can make a name read as another one.
JOINERS = frozenset("\u200c\u200d")

#: Longest text that is shown in one place, in characters: a name of three groups has 192 (PS3.5 6.2).
LONGEST = 600


@cache
def coverage(name: str) -> frozenset[int]:
    """Code points that a font has a glyph for."""
    return frozenset(uharfbuzz.Face(uharfbuzz.Blob.from_file_path(str(FOLDER / name))).unicodes)


def clean(text: str, longest: int = LONGEST) -> str:
    """Make any text fit to be shown in one place.

    Parameters
    ----------
    text
        Whatever stands in a header, a note or a message.
    longest
        Most characters that are kept; three dots say that there were more.

    Returns
    -------
    str
        One line in normal form C, without characters that control, and with :data:`REPLACEMENT` for each that no
        font has.
    """
    shown = "".join(_shown(character) for character in unicodedata.normalize("NFC", text[: 4 * longest]))
    line = " ".join(shown.split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def burnable(text: str) -> str:
    """Like :func:`clean`, for text in pixels, which has no other font than REGULAR."""
    return "".join(c if ord(c) in coverage(REGULAR) else REPLACEMENT for c in clean(text))


def fallback(character: str) -> str | None:
    """Font that has what REGULAR and BOLD have not; None where none has it."""
    return next((name for name in FALLBACKS if ord(character) in coverage(name)), None)


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if character.isspace() or category == "Cc":
        return " "
    if category[0] == "C" and character not in JOINERS:
        return "" if category == "Cf" else REPLACEMENT
    return character if any(ord(character) in coverage(name) for name in (REGULAR, *FALLBACKS)) else REPLACEMENT
