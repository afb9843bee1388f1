"""What a Store request was answered: the Store Instances Response Module (PS3.18 annex I), in JSON or XML. Pure.

An answer is hostile input: of any size up to a limit, of any type, cut anywhere. Only what it says of an instance by
name counts. The status of the whole answer says nothing of an instance: peers answer 200 and have stored nothing, or
400 and have stored all but one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from node.errors import InputError

REFERENCED_SOP_INSTANCE_UID = "00081155"
WARNING_REASON, FAILURE_REASON = "00081196", "00081197"
FAILED_SOP_SEQUENCE, REFERENCED_SOP_SEQUENCE, OTHER_FAILURES_SEQUENCE = "00081198", "00081199", "0008119A"

STORED = "200 stored"
"""The status of an instance that is in Referenced SOP Sequence without a warning."""
REASONS: Mapping[tuple[int, int], str] = {
    # PS3.18 table I.2-2, failure; the first range that fits
    (0x0110, 0x0110): "processing failure",
    (0x0122, 0x0122): "SOP class not supported",
    (0xA700, 0xA7FF): "out of resources",
    (0xA900, 0xA9FF): "the data set does not match its SOP class",
    (0xC122, 0xC122): "transfer syntax not supported",
    (0xC000, 0xCFFF): "cannot understand",
    # PS3.18 table I.2-1, warning
    (0xB000, 0xB000): "stored with data elements coerced",
    (0xB006, 0xB006): "stored with elements discarded",
    (0xB007, 0xB007): "stored, though the data set does not match its SOP class",
    # PS3.7 annex C
    (0x0111, 0x0111): "duplicate SOP instance",
    (0x0124, 0x0124): "not authorised",
    (0x0213, 0x0213): "resource limitation",
    # Microsoft dicom-server, conformance statement
    (0xB00E, 0xB00E): "an instance with this UID is stored already",
    (0xB00F, 0xB00F): "an instance with this UID is being stored",
}
DUPLICATES = frozenset({0x0111, 0xB00E})
"""Failure Reasons that say that the instance is there already: an earlier try was stored, and its answer lost.

A result's UIDs are derived from what it was made of, so what is there under the UID is that result. Trying again for
days would change nothing, and the archive has the object.
"""


class AnswerError(InputError):
    """The answer is no Store Instances Response Module."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer says of one instance. ``status`` is a DIMSE status, or the HTTP status with a word.

    ``stored`` says that Referenced SOP Sequence has it; a duplicate is ``ok`` as well.
    """

    ok: bool
    status: str
    reason: str = ""
    stored: bool = False


@dataclass(frozen=True, slots=True)
class StoreResponse:
    """The module: reasons by SOP Instance UID, None where an instance has none.

    ``others`` are the reasons of Other Failures Sequence, whose items name no instance.
    """

    stored: Mapping[str, int | None]
    failed: Mapping[str, int | None]
    others: tuple[int | None, ...] = ()

    def verdict(self, uid: str) -> Verdict | None:
        """Return what is said of an instance; None where it is not named. Said both, it has failed."""
        if uid in self.failed:
            return _failed(self.failed[uid])
        if uid not in self.stored:
            return None
        warning = self.stored[uid]
        if warning is None:
            return Verdict(True, STORED, stored=True)
        return Verdict(True, f"0x{warning:04X}", words(warning), stored=True)

    def remarks(self) -> str:
        """Return the failures that name no instance, in words."""
        found = dict.fromkeys("a failure without a reason" if code is None else words(code) for code in self.others)
        return "; ".join(list(found)[:5])


def words(code: int) -> str:
    """Return a Failure Reason or Warning Reason as people read it."""
    meaning = next((text for (low, high), text in REASONS.items() if low <= code <= high), "")
    return f"{meaning} (0x{code:04X})" if meaning else f"reason 0x{code:04X}"


def parse(body: bytes) -> StoreResponse:
    """Read the body of an answer. Its own first character says which form it has: peers omit or mistake the media type.

    Raises
    ------
    AnswerError
        If it is neither DICOM JSON nor a Native DICOM Model, or has none of the sequences of an answer.
    """
    start = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if not start:
        raise AnswerError("it is empty")
    if start in b"{[":
        datasets = _json(body)
    elif start == b"<":
        datasets = [_xml(body)]
    else:
        raise AnswerError("it is neither JSON nor XML")
    return _response(datasets)


Attributes = Mapping[str, Sequence[Any]]
"""Values by tag; an item of a sequence is such a mapping again."""


def _response(datasets: Sequence[Attributes]) -> StoreResponse:
    known = (REFERENCED_SOP_SEQUENCE, FAILED_SOP_SEQUENCE, OTHER_FAILURES_SEQUENCE)
    if not any(tag in dataset for dataset in datasets for tag in known):
        raise AnswerError("it has none of the sequences of a Store Instances Response")
    stored: dict[str, int | None] = {}
    failed: dict[str, int | None] = {}
    for item in _items(datasets, REFERENCED_SOP_SEQUENCE):
        # Failure Reason belongs into the other sequence; an item that has one has not been stored, wherever it is.
        target, tag = (failed, FAILURE_REASON) if item.get(FAILURE_REASON) else (stored, WARNING_REASON)
        target[_uid(item)] = _code(item, tag)
    failed |= {_uid(item): _code(item, FAILURE_REASON) for item in _items(datasets, FAILED_SOP_SEQUENCE)}
    others = tuple(_code(item, FAILURE_REASON) for item in _items(datasets, OTHER_FAILURES_SEQUENCE))
    return StoreResponse(stored, failed, others)


def _failed(code: int | None) -> Verdict:
    if code is None:
        return Verdict(False, "not stored", "not stored, without a reason")
    return Verdict(code in DUPLICATES, f"0x{code:04X}", words(code))


def _items(datasets: Sequence[Attributes], tag: str) -> Iterator[Attributes]:
    return (item for dataset in datasets for item in dataset.get(tag, ()) if isinstance(item, Mapping))


def _uid(item: Attributes) -> str:
    value = next(iter(item.get(REFERENCED_SOP_INSTANCE_UID, ())), "")
    return value.strip(" \0\r\n\t") if isinstance(value, str) else ""


def _code(item: Attributes, tag: str) -> int | None:
    """Return a reason (US, decimal in both forms: PS3.18 annex F.2.3, PS3.19 annex A.1.5)."""
    value = next(iter(item.get(tag, ())), None)
    if isinstance(value, str) and len(value) <= 8 and value.strip().isascii() and value.strip().isdigit():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0xFFFF else None


def _json(body: bytes) -> list[Attributes]:
    """Read the DICOM JSON model (PS3.18 annex F.2): a data set, or an array of them."""
    try:
        found = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as exc:
        raise AnswerError("it is not JSON") from exc
    return [_attributes(dataset) for dataset in (found if isinstance(found, list) else [found])]


def _attributes(dataset: Any, depth: int = 2) -> Attributes:
    """Turn a data set of the JSON model into values by tag, as deep as an answer is."""
    if not isinstance(dataset, dict):
        return {}
    found: dict[str, list[Any]] = {}
    for tag, attribute in dataset.items():
        values = attribute.get("Value") if isinstance(attribute, dict) else None
        found[tag.upper()] = [
            _attributes(value, depth - 1) if isinstance(value, dict) and depth > 1 else value
            for value in (values if isinstance(values, list) else ())
        ]
    return found


class _NoDoctype(ET.TreeBuilder):
    """Builds the tree of a document that declares nothing: without a DTD there are no entities to expand or fetch."""

    def doctype(self, _name: str, _pubid: str | None, _system: str | None) -> None:
        raise AnswerError("it declares a document type, which a Native DICOM Model never has")


def _xml(body: bytes) -> Attributes:
    """Read the Native DICOM Model (PS3.19 annex A.1), in its name space or, as some peers write it, in none."""
    parser = ET.XMLParser(target=_NoDoctype())  # noqa: S314  a document type is refused before anything is declared
    try:
        parser.feed(body)
        root = parser.close()
    except (ET.ParseError, LookupError, ValueError) as exc:  # LookupError: an encoding that there is not
        raise AnswerError("it is not XML") from exc
    if _name(root) != "NativeDicomModel":
        raise AnswerError("it is XML, but no Native DICOM Model")
    return _elements(root)


def _elements(parent: ET.Element, depth: int = 2) -> Attributes:
    found: dict[str, list[Any]] = {}
    for element in parent:
        if _name(element) == "DicomAttribute":
            items = [_elements(child, depth - 1) for child in element if depth > 1 and _name(child) == "Item"]
            texts = [child.text or "" for child in element if _name(child) == "Value"]
            found[element.get("tag", "").upper()] = items or texts
    return found


def _name(element: ET.Element) -> str:
    return str(element.tag).rpartition("}")[2]
