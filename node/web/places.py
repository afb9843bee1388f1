"""Where the evidence of an assessment stands: the words of a note, a laboratory value, an earlier study. Pure.

An address names rows by their ids, never what they hold: document and filler numbers belong to a patient.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence

from node.records.schema import Note, Observation
from node.web.evidence import Place, Reference

DOCUMENT_WIDTH = 64
"""Characters of a document or filler number that an assessment keeps."""
SAME_TIME = dt.timedelta(seconds=1)
_SPAN = re.compile(r"(\d{1,9})-(\d{1,9})\Z")
_CHINESE = re.compile("[\u3400-\u9fff]")
NOWHERE = Place()


class Places:
    """Finds evidence among what one study's page shows.

    Parameters
    ----------
    notes, observations
        What the page shows of the person.
    studies
        Ids of earlier studies by their Study Instance UID.
    """

    def __init__(self, notes: Iterable[Note], observations: Iterable[Observation], studies: Mapping[str, int]) -> None:
        self._notes: dict[str, list[Note]] = {}
        for note in notes:
            self._notes.setdefault(note.document_number[:DOCUMENT_WIDTH], []).append(note)
        self._values: dict[tuple[str, str], list[Observation]] = {}
        for value in observations:
            self._values.setdefault((value.code, value.filler_number[:DOCUMENT_WIDTH]), []).append(value)
        self._studies = studies

    def __call__(self, given: Reference) -> Place:
        """Return where a piece of evidence stands; nothing where it is not shown."""
        if given.source == "note":
            return self._note(given)
        if given.source == "lab":
            return self._value(given)
        if given.source == "prior":
            number = self._studies.get(given.reference)
            return Place(f"/studies/{number}") if number else NOWHERE
        return Place("#order") if given.source == "order" else NOWHERE

    def _note(self, given: Reference) -> Place:
        document, _, span = given.reference.rpartition(":")
        match = _SPAN.match(span)
        found = self._notes.get(document, ())
        if not found or match is None:
            return NOWHERE
        start, end = int(match[1]), int(match[2])
        note = next((one for one in found if any((f.start, f.end) == (start, end) for f in one.facts)), found[0])
        lang = language_of(given.text, note.language)
        return Place(f"#{anchor(note, start, end)}", lang, f"characters {start} to {end} of this note")

    def _value(self, given: Reference) -> Place:
        found: Sequence[Observation] = self._values.get((given.code, given.reference), ())
        if given.at is not None:
            at = given.at
            found = [one for one in found if one.observed_at is None or abs(one.observed_at - at) < SAME_TIME]
        if not found:
            return NOWHERE
        value = found[0]
        parts = [f"{value.value} {value.unit}".strip(), value.flag and f"flag {value.flag}"]
        parts.append(value.reference_range and f"reference {value.reference_range}")
        return Place(f"#lab-{value.id}", "", ", ".join(part for part in parts if part))


def anchor(note: Note, start: int, end: int) -> str:
    """Return the name of a fact's place in its note; the note's own where no fact stands there."""
    known = any((fact.start, fact.end) == (start, end) for fact in note.facts)
    return f"note-{note.id}-{start}-{end}" if known else f"note-{note.id}"


def language_of(words: str, code: str) -> str:
    """Return the language of a few words beside a note in this language; "" if they are in the page's own."""
    return language(code) if _CHINESE.search(words) else ""


def language(code: str) -> str:
    """Return a language as HTML's ``lang`` takes it (BCP 47); "" for English, which is the page's, and what is none."""
    plain = code.replace("_", "-")
    return plain if re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", plain) and plain.lower() != "en" else ""
