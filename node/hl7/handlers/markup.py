"""The words of an HTML document, as far as they can be had without a browser."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]{0,20})[^<>]*>|<[!?/][^<>]*>")
_LONG_NUMBER = re.compile(r"&#[xX]?[0-9A-Fa-f]{9,}")
_SPACES = re.compile(r"[ \t\r\n\f]+")
_HIDDEN = frozenset({"script", "style", "head", "title", "template"})
_LINES = frozenset(
    {
        *("br", "p", "div", "section", "article", "pre", "blockquote", "hr"),
        *("h1", "h2", "h3", "h4", "h5", "h6", "li", "ul", "ol", "dt", "dd", "table", "tr"),
    }
)
_CELLS = frozenset({"td", "th"})


def text_of_html(source: str) -> str:
    """Return the text of HTML: a line for each block, entities resolved, scripts and comments left out.

    The time is linear in the length, whatever the markup is.
    """
    words: list[str] = []
    hidden = ""
    for text, tag, closes in _pieces(_without_comments(source)):
        if not hidden:
            words.append(_SPACES.sub(" ", text))
        if tag == "body":  # the end tag of head may be left out
            hidden = ""
        elif tag in _HIDDEN:
            hidden = ("" if hidden == tag else hidden) if closes else hidden or tag
        elif tag in _LINES and not hidden:
            words.append("\n")
        elif tag in _CELLS and not hidden:
            words.append(" ")
    lines = (_SPACES.sub(" ", line).strip() for line in _resolved("".join(words)).split("\n"))
    return "\n".join(line for line in lines if line)


def _pieces(source: str) -> Iterator[tuple[str, str, bool]]:
    """Yield the text before each tag, the tag's name, and whether it is an end tag; the last has no tag."""
    position = 0
    for match in _TAG.finditer(source):
        yield source[position : match.start()], (match.group(2) or "").lower(), bool(match.group(1))
        position = match.end()
    yield source[position:], "", False


def _without_comments(source: str) -> str:
    parts = source.split("<!--")
    return parts[0] + "".join(part.partition("-->")[2] for part in parts[1:])


def _resolved(text: str) -> str:
    """Resolve entities; a number that no character has is left out, for Python refuses to read long ones."""
    return html.unescape(_LONG_NUMBER.sub("", text)).replace("\xa0", " ").replace("\x00", "")
