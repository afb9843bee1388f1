"""Reading what a request carries: attributes of data sets that anybody may have sent.

A value is looked at once, here; whatever is wrong with it ends the request with a status of PS3.7 annex C and a comment
that names the attribute, never its value.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from node.dicom.services.base import (
    INVALID_ATTRIBUTE_VALUE,
    INVALID_SOP_INSTANCE,
    MISSING_ATTRIBUTE,
    MISSING_ATTRIBUTE_VALUE,
    NO_SUCH_SOP_CLASS,
    RESOURCE_LIMITATION,
    Answer,
    Handler,
    Request,
    Resources,
)
from node.dicom.uid import is_uid
from node.errors import InputError

MAX_REFERENCES = 40_000
"""Instances that one request may name: a study of this size is four times the largest CT."""
TITLE_WIDTH = 16


class Refusal(InputError):
    """A request that is answered with a status other than Success."""

    def __init__(self, status: int, comment: str, *, error_id: int | None = None) -> None:
        super().__init__(comment)
        self.dicom_status = status
        self.error_id = error_id


def answering(work: Handler) -> Handler:
    """Turn the refusals that a handler raises into its answers."""

    @functools.wraps(work)
    def handler(resources: Resources, request: Request) -> Answer:
        try:
            return work(resources, request)
        except Refusal as exc:
            return Answer(exc.dicom_status, str(exc), error_id=exc.error_id)

    return handler


def attributes_of(request: Request, sop_class: str) -> Dataset:
    """Return a request's data set, once its SOP class is the one that the service provides."""
    if request.sop_class != sop_class:
        raise Refusal(NO_SUCH_SOP_CLASS, "the SOP class is not that of the presentation context")
    if request.dataset is None:
        raise Refusal(MISSING_ATTRIBUTE, "the request has no data set")
    return request.dataset


def instance_of(request: Request) -> str:
    """Return the SOP Instance UID that a request names; empty where it names none."""
    if request.sop_instance and not is_uid(request.sop_instance):
        raise Refusal(INVALID_SOP_INSTANCE, "the SOP Instance UID is not a UID")
    return request.sop_instance


def text(ds: Dataset, keyword: str, invalid: int = INVALID_ATTRIBUTE_VALUE) -> str | None:
    """Return an attribute as text without its padding; None where it is absent."""
    value = _value(ds, keyword, invalid)
    if value is None:
        return "" if keyword in ds else None
    if isinstance(value, Sequence | bytes):
        raise Refusal(invalid, f"{keyword} is not a text")
    return str(value).strip("\0 ")


def required(ds: Dataset, keyword: str, invalid: int = INVALID_ATTRIBUTE_VALUE) -> str:
    """Return an attribute of type 1."""
    value = text(ds, keyword, invalid)
    if value is None:
        raise Refusal(MISSING_ATTRIBUTE, f"{keyword} is missing")
    if not value:
        raise Refusal(MISSING_ATTRIBUTE_VALUE, f"{keyword} is empty")
    return value


def uid(ds: Dataset, keyword: str, invalid: int = INVALID_ATTRIBUTE_VALUE) -> str:
    """Return a UID of type 1."""
    value = required(ds, keyword, invalid)
    if not is_uid(value):
        raise Refusal(invalid, f"{keyword} is not a UID")
    return value


def items(ds: Dataset, keyword: str, invalid: int = INVALID_ATTRIBUTE_VALUE) -> Sequence:
    """Return the items of a sequence that may be absent or empty."""
    value = _value(ds, keyword, invalid)
    if value is None:
        return Sequence()
    if not isinstance(value, Sequence):
        raise Refusal(invalid, f"{keyword} is not a sequence")
    return value


def required_items(ds: Dataset, keyword: str, invalid: int = INVALID_ATTRIBUTE_VALUE) -> Sequence:
    """Return the items of a sequence of type 1."""
    found = items(ds, keyword, invalid)
    if keyword not in ds:
        raise Refusal(MISSING_ATTRIBUTE, f"{keyword} is missing")
    if not found:
        raise Refusal(MISSING_ATTRIBUTE_VALUE, f"{keyword} has no items")
    return found


def references(sequence: Sequence, invalid: int = INVALID_ATTRIBUTE_VALUE) -> Iterator[tuple[str, str]]:
    """Yield class and instance of each SOP Instance Reference (PS3.3 table 10-11)."""
    for item in sequence:
        yield uid(item, "ReferencedSOPClassUID", invalid), uid(item, "ReferencedSOPInstanceUID", invalid)


def bounded(count: int) -> None:
    """Refuse a request that names more instances than any study has."""
    if count > MAX_REFERENCES:
        raise Refusal(RESOURCE_LIMITATION, f"more than {MAX_REFERENCES} instances are named")


def title(value: str) -> str:
    """Return an AE title as it may stand in a sentence."""
    return "".join(char for char in value if char.isascii() and char.isprintable()).strip()[:TITLE_WIDTH]


def _value(ds: Dataset, keyword: str, invalid: int) -> Any:
    """Return a value, decoded now: a lazily read element may fail in as many ways as there are codecs."""
    try:
        return ds.get(keyword)
    except Exception:
        raise Refusal(invalid, f"{keyword} cannot be read") from None
