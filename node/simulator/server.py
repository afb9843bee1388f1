"""pynetdicom's own server, for the simulated PACS: a peer that receives by other code than the node does."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from socketserver import BaseServer
from typing import Any

from pydicom.uid import UID
from pynetdicom.pdu_primitives import SOPClassCommonExtendedNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import ThreadedAssociationServer

from node.dicom.scp.negotiation import is_storage

STORAGE_SERVICE = "1.2.840.10008.4.2"


class Server(ThreadedAssociationServer):
    """pynetdicom's server, without the 40 ms that Nagle's algorithm takes for each answer."""

    daemon_threads = True

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection and set it up."""
        client, address = super().get_request()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client, address

    def close(self) -> None:
        """Accept nothing more; associations go on."""
        BaseServer.shutdown(self)
        self.server_close()


def storage_services(proposed: Sequence[PresentationContext]) -> dict[UID, SOPClassCommonExtendedNegotiation]:
    """Say of each proposed storage class that it is one (PS3.7 annex D.3.3.6), also of those nobody here knows."""
    found = {}
    for cx in proposed:
        if is_storage(str(cx.abstract_syntax)):
            item = SOPClassCommonExtendedNegotiation()
            uid = UID(str(cx.abstract_syntax))
            item.sop_class_uid, item.service_class_uid = uid, UID(STORAGE_SERVICE)
            found[uid] = item
    return found
