"""Delivery by C-STORE: everything a destination is owed on one association."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from node.delivery.transport import Item, Outcome
from node.dicom.sender import send
from node.settings import Destination, Settings


def deliver(destination: Destination, items: Sequence[Item], settings: Settings) -> Iterator[Outcome]:
    """Send objects; delivered is status 0000, or a warning of PS3.4 table B.2-1, which is kept."""
    by_path = {item.path: item for item in items}
    outcomes = send(
        list(by_path),
        destination.host,
        destination.port,
        called_ae=destination.ae_title,
        calling_ae=destination.calling_ae_title or settings.dicom.ae_title,
        timeout=settings.delivery.timeout_seconds,
    )
    for outcome in outcomes:
        status = "no answer" if outcome.status is None else f"0x{outcome.status:04X}"
        yield Outcome(
            by_path[outcome.path].delivery, outcome.ok, status, "" if outcome.ok else outcome.comment or status
        )
