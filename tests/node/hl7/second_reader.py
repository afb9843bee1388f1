"""A second reader of messages, which shares nothing with the node's: hl7apy, at its most lenient."""

from __future__ import annotations

import re
from typing import Any

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

_ESCAPES = {"\\F\\": "|", "\\S\\": "^", "\\T\\": "&", "\\R\\": "~", "\\E\\": "\\"}


class Part:
    """One segment as hl7apy reads it."""

    def __init__(self, element: Any) -> None:
        self.name: str = element.name
        self._element = element

    def get(self, field: int, component: int = 1, subcomponent: int = 1, repetition: int = 0) -> str:
        """Return a value, "" where there is none."""
        repetitions = self._fields(field)
        if repetition >= len(repetitions):
            return ""
        found = _numbered(repetitions[repetition], component)
        if found is not None and len(found.children) > 0 and found.children[0].name != found.datatype:
            found = _numbered(found, subcomponent)
        elif subcomponent > 1:
            return ""
        return _plain(found.to_er7()) if found is not None else ""

    def whole(self, field: int) -> str:
        """Return a field as hl7apy writes it."""
        return "~".join(element.to_er7() for element in self._fields(field))

    def repetitions(self, field: int) -> int:
        """Return how many repetitions a field has."""
        return len(self._fields(field))

    def _fields(self, field: int) -> list[Any]:
        return [child for child in self._element.children if child.name == f"{self.name}_{field}"]


def read(text: str) -> list[Part]:
    """Return the segments of a message that has CR for line ends."""
    message = parse_message(text, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=False)
    return [Part(element) for element in message.children]


def _numbered(element: Any, number: int) -> Any:
    """Return a child by its number; a child without one in its name is the first."""
    for child in element.children:
        match = re.search(r"_(\d+)\Z", child.name or "")
        if (int(match.group(1)) if match else 1) == number:
            return child
    return None


def _plain(text: str) -> str:
    for sequence, character in _ESCAPES.items():
        text = text.replace(sequence, character)
    return "" if text == '""' else text.strip()
