"""The outbox: one independent loop a destination, each with its transport."""

from __future__ import annotations

from collections.abc import Mapping

from node.delivery import dicom, folder, mllp
from node.delivery.transport import Transport

TRANSPORTS: Mapping[str, Transport] = {
    "dicom": dicom.deliver,
    "mllp": mllp.deliver,
    "folder": folder.deliver,
}
