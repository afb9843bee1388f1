"""Delivery of HL7 messages over MLLP, in order: a message that is not taken holds back those behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from node.delivery.transport import Item, Outcome
from node.errors import DeliveryError
from node.hl7.mllp import send
from node.settings import Destination, Settings


def deliver(destination: Destination, items: Sequence[Item], settings: Settings) -> Iterator[Outcome]:
    """Send messages; accepted is MSA-1 AA or CA for our control id (HL7 v2.5.1 section 2.9.2), nothing else.

    A refused message (AE, AR) holds back those of the same study only; a peer that does not answer holds back all.
    """
    held: set[str] = set()
    silent = ""
    for item in items:
        if silent:
            yield Outcome(item.delivery, False, "no answer", silent)
        elif item.study_uid not in held:
            outcome = _send(destination, item, settings)
            if not outcome.ok:
                held.add(item.study_uid)
                silent = outcome.reason if outcome.status == "no answer" else ""
            yield outcome


def _send(destination: Destination, item: Item, settings: Settings) -> Outcome:
    try:
        ack = send(destination.host, destination.port, item.path.read_bytes(), settings.delivery.timeout_seconds)
    except OSError as exc:
        return Outcome(item.delivery, False, type(exc).__name__, f"cannot be read: {exc.strerror}")
    except DeliveryError as exc:
        return Outcome(item.delivery, False, exc.status or "no answer", str(exc))
    return Outcome(item.delivery, True, ack.code)
