"""Delivery of HL7 messages over MLLP, in order: a message that is not taken holds back those behind it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from node.delivery.transport import Item, KeptTransport, Outcome
from node.errors import DeliveryError
from node.hl7.ack import AckRefused
from node.hl7.mllp import MllpClient
from node.hl7.tls import client_context
from node.settings import Destination, Settings

KEEP_SECONDS = 30.0
"""How long a connection without work stays open. Peers may close it sooner: then it is opened again when needed."""


class MllpTransport(KeptTransport):
    """Sends messages to one peer, over a connection that is kept between messages while the peer keeps it."""

    def __init__(self) -> None:
        self._client: MllpClient | None = None
        self._last = time.monotonic()

    def __call__(self, destination: Destination, items: Sequence[Item], settings: Settings) -> Iterator[Outcome]:
        """Send messages; accepted is MSA-1 AA or CA for our control id (HL7 v2.5.1 section 2.9.2), nothing else.

        A refused message (AE, AR) holds back those of its kind and study only, so no ORU holds back an alert; a peer
        that does not answer holds back all.
        """
        client = self._client = self._client or connect(destination, settings)
        held: set[tuple[str, str]] = set()
        silent = ""
        for item in items:
            if silent:
                yield Outcome(item.delivery, False, "no answer", silent)
            elif (item.kind, item.study_uid) not in held:
                outcome = _send(client, item)
                self._last = time.monotonic()
                if not outcome.ok:
                    held.add((item.kind, item.study_uid))
                    silent = outcome.reason if outcome.status == "no answer" else ""
                yield outcome

    def rest(self) -> None:
        """Close the connection once it was idle for some seconds."""
        if self._client is not None and time.monotonic() - self._last > KEEP_SECONDS:
            self._client.close()

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()

    def interrupt(self) -> None:
        """End what is being sent."""
        if self._client is not None:
            self._client.interrupt()


def connect(destination: Destination, settings: Settings, seconds: float | None = None) -> MllpClient:
    """Return the client of a destination, over TLS where it is to be; it connects when it is used.

    Parameters
    ----------
    seconds
        How long it waits, if not as long as ``delivery.timeout_seconds`` says.

    Raises
    ------
    ConfigError
        If the files of ``hl7.tls`` cannot be read.
    """
    tls = client_context(settings.hl7.tls) if destination.tls else None
    timeout = seconds or settings.delivery.timeout_seconds
    return MllpClient(destination.host, destination.port, timeout, tls=tls, settings=settings.hl7)


def _send(client: MllpClient, item: Item) -> Outcome:
    try:
        ack = client.exchange(item.path.read_bytes())
    except OSError as exc:
        return Outcome(item.delivery, False, type(exc).__name__, f"cannot be read: {exc.strerror}")
    except AckRefused as exc:
        return Outcome(item.delivery, False, exc.status, str(exc), exc.ack.text[:500])
    except DeliveryError as exc:
        return Outcome(item.delivery, False, exc.status or "no answer", str(exc))
    return Outcome(item.delivery, True, ack.code)
