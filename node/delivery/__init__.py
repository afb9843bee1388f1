"""The outbox: one independent loop a destination, each with its transport."""

from __future__ import annotations

from collections.abc import Mapping

from node.delivery import folder
from node.delivery.dicom import DicomTransport
from node.delivery.dicomweb import DicomWebTransport
from node.delivery.mllp import MllpTransport
from node.delivery.transport import KeptTransport, Transport

TRANSPORTS: Mapping[str, Transport | type[KeptTransport]] = {
    "dicom": DicomTransport,
    "dicomweb": DicomWebTransport,
    "mllp": MllpTransport,
    "folder": folder.deliver,
}
"""Functions, and classes of transports that keep a connection."""


def transport(kind: str) -> Transport:
    """Return the transport of a destination's loop."""
    found = TRANSPORTS[kind]
    return found() if isinstance(found, type) else found
