"""What engines say, as plain data: an analysis for a page or a script, and spans asserted line by line (JSON Lines).

Lines may come from anywhere: each is read by itself, bounded, and answered in its place, so that line n of the answer
belongs to line n of the question.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from models.facts import Assertion
from models.notes.engine import NoteEngine
from models.notes.engines import assert_spans, section_kinds

MAX_CHARACTERS = 1_000_000  # of one text
MAX_BYTES = 8 * MAX_CHARACTERS  # of one line; a character takes six bytes where it is escaped


@dataclass(frozen=True, slots=True)
class Answer:
    """The line to write, without its end, and why the question could not be answered ("" if it could)."""

    line: bytes
    error: str = ""


class BadLine(ValueError):
    """A line that is no question; the message says why without quoting it."""


def analysis(engine: NoteEngine, text: str) -> dict[str, Any]:
    """Analyse a note and say of each section what kind its words speak for.

    Returns
    -------
    dict
        The fields of :class:`~models.facts.NoteAnalysis`, with sections as dictionaries: ``name``, ``start``, ``end``,
        ``kind`` and ``probability``.
    """
    found = engine.analyze(text)
    kinds = section_kinds(engine, [text[start:end] for _, start, end in found.sections])
    sections = [
        {"name": name, "start": start, "end": end, "kind": kind.kind, "probability": round(kind.probability, 3)}
        for (name, start, end), kind in zip(found.sections, kinds, strict=True)
    ]
    return {**asdict(found), "sections": sections}


def assert_lines(engine: NoteEngine, lines: Sequence[bytes], first: int = 1) -> list[Answer]:
    """Answer lines ``{"text", "start", "end"}`` with the same objects and how the text states the span.

    Parameters
    ----------
    lines
        UTF-8 JSON, one object each; a blank line is answered by a blank line.
    first
        Number of the first line, for errors.

    Returns
    -------
    list of Answer
        One for each line, in order: the object with ``negated``, ``historical``, ``hypothetical``, ``uncertain`` and
        ``experiencer`` added, or ``{"error": ...}``.
    """
    questions: dict[int, dict[str, Any]] = {}
    answers: dict[int, Answer] = {}
    for at, line in enumerate(lines):
        if not line.strip():
            answers[at] = Answer(b"")
            continue
        try:
            questions[at] = _question(line)
        except BadLine as error:
            message = f"line {first + at}: {error}"
            answers[at] = Answer(_written({"error": message}), message)
    places = [(item["text"], item["start"], item["end"]) for item in questions.values()]
    for (at, item), said in zip(questions.items(), assert_spans(engine, places), strict=True):
        answers[at] = Answer(_written({**item, **stated(said)}))
    return [answers[at] for at in range(len(lines))]


def stated(said: Assertion) -> dict[str, Any]:
    """Give an assertion as JSON: four booleans and the experiencer."""
    flags = {name: getattr(said, name) for name in ("negated", "historical", "hypothetical", "uncertain")}
    return {**flags, "experiencer": said.experiencer.value}


def _question(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_BYTES:
        raise BadLine(f"longer than {MAX_BYTES} bytes")
    try:
        item = json.loads(line.decode("utf-8-sig"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise BadLine(f"not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise BadLine(f"not JSON ({error.msg} at character {error.pos})") from error
    except (ValueError, RecursionError) as error:
        raise BadLine("not JSON that can be read (a number out of range, or nested too deep)") from error
    if not isinstance(item, dict):
        raise BadLine("not an object with text, start and end")
    _check(item)
    return item


def _check(item: dict[str, Any]) -> None:
    text, start, end = item.get("text"), item.get("start", ""), item.get("end", "")
    if not isinstance(text, str):
        raise BadLine("text is missing, or not a string")
    if len(text) > MAX_CHARACTERS:
        raise BadLine(f"text is longer than {MAX_CHARACTERS} characters")
    for name, value in (("start", start), ("end", end)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise BadLine(f"{name} is missing, or not a whole number")
    if not 0 <= start < end <= len(text):
        raise BadLine(f"start and end are not a span within the text of {len(text)} characters")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _written(item: dict[str, Any]) -> bytes:
    """Write JSON in UTF-8; lone surrogates, which UTF-8 cannot hold, are escaped."""
    try:
        return json.dumps(item, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(item).encode("ascii")
