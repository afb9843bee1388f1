"""Delivery by C-STORE, on an association that is kept while there is something to send."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from node.delivery.transport import Item, KeptTransport, Outcome
from node.dicom.scp.tls import client_context
from node.dicom.scu import Remote
from node.dicom.sender import Sender
from node.settings import Destination, Settings

KEEP_SECONDS = 5.0
"""How long an association without work stays open: results of one study come within seconds of each other."""


class DicomTransport(KeptTransport):
    """Sends objects to one application entity."""

    def __init__(self) -> None:
        self._sender: Sender | None = None

    def __call__(self, destination: Destination, items: Sequence[Item], settings: Settings) -> Iterator[Outcome]:
        """Send objects; accepted is status 0000, or a warning of PS3.4 table B.2-1, which is kept."""
        if self._sender is None:
            self._sender = Sender(remote(destination, settings))
        by_path = {item.path: item for item in items}
        for outcome in self._sender.send(list(by_path)):
            reason = outcome.reason or ("" if outcome.ok else outcome.word)
            yield Outcome(by_path[outcome.path].delivery, outcome.ok, outcome.word, reason, outcome.said)

    def rest(self) -> None:
        """Release the association once it was idle for some seconds."""
        if self._sender is not None:
            self._sender.rest(KEEP_SECONDS)

    def close(self) -> None:
        """Release the association."""
        if self._sender is not None:
            self._sender.close()

    def interrupt(self) -> None:
        """End what is being sent."""
        if self._sender is not None:
            self._sender.interrupt()


def remote(destination: Destination, settings: Settings) -> Remote:
    """Return how a destination is called, over TLS where it is to be.

    Raises
    ------
    ConfigError
        If the files of ``dicom.tls`` cannot be read.
    """
    return Remote(
        destination.host,
        destination.port,
        destination.ae_title,
        destination.calling_ae_title or settings.dicom.ae_title,
        settings.delivery.timeout_seconds,
        client_context(settings.dicom.tls) if destination.tls else None,
    )
