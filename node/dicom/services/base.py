"""What a DIMSE service gets and gives. Handlers know no sockets, PDUs or associations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset

if TYPE_CHECKING:
    from node.records.engine import Records
    from node.settings import Settings
    from node.storage import Spool

SUCCESS = 0x0000
INVALID_ATTRIBUTE_VALUE = 0x0106
PROCESSING_FAILURE = 0x0110
DUPLICATE_SOP_INSTANCE = 0x0111
NO_SUCH_SOP_INSTANCE = 0x0112
NO_SUCH_EVENT = 0x0113
INVALID_ARGUMENT_VALUE = 0x0115
INVALID_SOP_INSTANCE = 0x0117
NO_SUCH_SOP_CLASS = 0x0118
CLASS_INSTANCE_CONFLICT = 0x0119
MISSING_ATTRIBUTE = 0x0120
MISSING_ATTRIBUTE_VALUE = 0x0121
NO_SUCH_ACTION = 0x0123
NOT_AUTHORISED = 0x0124
RESOURCE_LIMITATION = 0x0213
"""Statuses that every service knows (PS3.7 annex C)."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, of whom."""

    calling_ae_title: str
    called_ae_title: str
    address: str


@dataclass(frozen=True, slots=True)
class Request:
    """One DIMSE request.

    ``sop_instance`` is empty where an N-CREATE leaves the choice to the node; ``number`` is the Action Type ID or Event
    Type ID; ``dataset`` is None where the message has none.
    """

    command: int
    sop_class: str
    sop_instance: str
    caller: Caller
    number: int = 0
    dataset: Dataset | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """An N-EVENT-REPORT to send on the same association, once the answer is out.

    ``dataset`` is called when it is sent; ``delivered`` with whether the peer answered it with Success.
    """

    sop_class: str
    sop_instance: str
    dataset: Callable[[], tuple[int, Dataset]]
    delivered: Callable[[bool], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with.

    ``sop_instance`` is set where the node chose the UID of an N-CREATE; ``error_id`` goes out as Error ID (0000,0903)
    where a service class defines one.
    """

    status: int = SUCCESS
    comment: str = ""
    sop_instance: str = ""
    dataset: Dataset | None = None
    report: Report | None = None
    error_id: int | None = None


@dataclass(frozen=True, slots=True)
class Resources:
    """What services may use."""

    settings: Settings
    records: Records
    spool: Spool


Handler = Callable[[Resources, Request], Answer]
"""A service. An exception it lets through is answered with 0110, processing failure; its text is not sent."""
