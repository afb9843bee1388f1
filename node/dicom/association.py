"""pynetdicom's server with what a hospital network asks of it in addition.

* several processes listen on one port (``SO_REUSEPORT``), the kernel shares the connections out;
* accepted sockets have ``TCP_NODELAY``, keep-alive and a time limit, so that a peer that stops in the middle of a PDU
  does not hold a thread for ever;
* a PDU longer than was agreed ends the connection instead of filling the memory;
* the presentation contexts are made from what the peer proposes: every abstract syntax of storage, known or not, with
  the first transfer syntax that the node can read.
"""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable, Sequence
from socketserver import BaseServer
from typing import Any

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES, build_context, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import SOPClassCommonExtendedNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.service_class import ServiceClass, StorageServiceClass
from pynetdicom.sop_class import uid_to_service_class
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

VERIFICATION = "1.2.840.10008.1.1"
STORAGE_SERVICE = "1.2.840.10008.4.2"
MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
ENCAPSULATED_UNCOMPRESSED = "1.2.840.10008.1.2.1.98"
TRANSFER_SYNTAXES: tuple[str, ...] = (*ALL_TRANSFER_SYNTAXES, ENCAPSULATED_UNCOMPRESSED)
"""All that pydicom knows, and JPIP and encapsulated uncompressed, whose structure is known too (PS3.5 annex A)."""

INVALID_INSTANCE, MISTYPED = 0x0117, 0x0212
"""Answers to a C-STORE without SOP Instance UID, or without something else it must have (PS3.7 section 9.1.1.1.9)."""
MAX_CONNECTIONS = 1024
"""Connections of one process, with or without an association."""
SILENT_SECONDS, SILENT_PAUSE = 0.2, 0.05
"""A connection that has asked for nothing by then is looked at this seldom, so that hundreds of them cost others little
(a port scanner, a load balancer's probes)."""
READ_BYTES = 1 << 18
"""Most that one recv(2) asks for."""
PDU_SLACK = 1 << 20
"""Room above the agreed maximum, for A-ASSOCIATE-RQ, which has none, and for peers that count headers differently."""


def is_storage(abstract_syntax: str) -> bool:
    """Whether a SOP class is one of storage: a known one, a private one, or one that nobody here has heard of.

    What is known as something else (query, worklist, print, hanging protocols...) is not.
    """
    uid = UID(abstract_syntax)
    service = uid_to_service_class(uid)
    if service is StorageServiceClass:
        return True
    known = uid in UID_dictionary
    return service is ServiceClass and (not known or "Storage" in uid.name) and uid != MEDIA_STORAGE_DIRECTORY


def contexts_for(proposed: Sequence[PresentationContext]) -> list[PresentationContext]:
    """Return what to support of the proposed contexts: storage and C-ECHO; none of the rest."""
    wanted = {str(cx.abstract_syntax) for cx in proposed}
    return [
        build_context(uid, list(TRANSFER_SYNTAXES)) for uid in sorted(wanted) if uid == VERIFICATION or is_storage(uid)
    ]


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


class _Socket(AssociationSocket):
    """Reads in large pieces, and no more than a PDU may have."""

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly ``nr_bytes``, or what came before the peer closed."""
        if nr_bytes > self.assoc.ae.maximum_pdu_size + PDU_SLACK:
            raise OSError("the PDU is longer than was agreed")
        data = bytearray(nr_bytes)
        view, received = memoryview(data), 0
        while received < nr_bytes:
            count = self.socket.recv_into(view[received : received + READ_BYTES]) if self.socket else 0
            if not count:
                break
            received += count
        view.release()
        del data[received:]
        return data


class _Association(Association):
    """Tells when it is over, in whatever way, once its last message has been served.

    A connection that closes before it asked for an association ends at once (pynetdicom would count it among the open
    ones for the whole ARTIM time), and a C-STORE without what it must have is answered instead of ignored.
    """

    ended: Callable[[Association], None]
    malformed: Callable[[Association, int], None]

    def __init__(self, ae: ApplicationEntity, mode: str) -> None:
        super().__init__(ae, mode)
        self._closed = threading.Event()
        self.bind(evt.EVT_CONN_CLOSE, lambda event: self._closed.set())

    def run_reactor(self) -> None:
        """Run until the association ends."""
        try:
            if self._asked():
                super().run_reactor()
            else:
                self._hang_up()
        finally:
            self.ended(self)

    def dismiss(self) -> None:
        """End the connection if it has not asked for an association yet."""
        self._closed.set()

    def _asked(self) -> bool:
        """Wait for the A-ASSOCIATE request; False if the connection closes first, or none comes in time."""
        self.dul.start()
        self._started_dul = True
        self._dul_ready.wait()
        began, prompt = time.monotonic(), self.dul._run_loop_delay
        deadline = began + (self.acse_timeout or math.inf)
        pause = 0.002
        while self.dul.peek_next_pdu() is None:
            if self._closed.is_set() or not self.dul.is_alive() or time.monotonic() > deadline:
                return False
            if time.monotonic() > began + SILENT_SECONDS:
                pause = self.dul._run_loop_delay = SILENT_PAUSE
            time.sleep(pause)
        self.dul._run_loop_delay = prompt
        return True

    def _hang_up(self) -> None:
        self.dul.kill_dul()
        self.dul.join()
        if self._server is not None and self.dul.socket is not None and self.dul.socket.socket is not None:
            self._server.shutdown_request(self.dul.socket.socket)

    def _serve_request(self, msg: Any, context_id: int) -> None:
        if not isinstance(msg, C_STORE) or msg.is_valid_request or msg.MessageID is None:
            super()._serve_request(msg, context_id)
            return
        answer = C_STORE()
        answer.MessageIDBeingRespondedTo = msg.MessageID
        answer.Status = INVALID_INSTANCE if msg.AffectedSOPInstanceUID is None else MISTYPED
        self.malformed(self, answer.Status)
        self.dimse.send_msg(answer, context_id)


class _Handler(RequestHandler):
    """Makes the association that serves one connection."""

    server: Server

    def _create_association(self) -> Association:
        assoc = _Association(self.ae, "acceptor")
        assoc.ended, assoc.malformed = self.server.ended, self.server.malformed
        assoc._server = self.server
        assoc.dul.daemon = True
        assoc.name = f"AcceptorThread@{self.client_address[0]}:{self.client_address[1]}"
        assoc.set_socket(_Socket(assoc, client_socket=self.request))
        assoc.acceptor.maximum_length = self.ae.maximum_pdu_size
        assoc.acceptor.ae_title = self.server.ae_title
        assoc.acceptor.address_info = self.local
        assoc.acceptor.implementation_class_uid = self.ae.implementation_class_uid
        assoc.acceptor.implementation_version_name = self.ae.implementation_version_name
        assoc.requestor.address_info = self.remote
        for event, handlers in self.server._handlers.items():
            for handler, args in [handlers] if isinstance(handlers, tuple) else handlers:
                assoc.bind(event, handler, args)
        return assoc


class Server(ThreadedAssociationServer):
    """A listening socket whose port other processes may listen on too.

    Parameters
    ----------
    ae
        The application entity: titles, limits, time limits.
    address
        Host and port; port 0 lets the system choose.
    handlers
        pynetdicom's events and what answers them.
    ended
        Called in an association's own thread when it is over.
    malformed
        Called when a C-STORE lacks what it must have, with the status it is answered with.
    """

    request_queue_size = 128
    daemon_threads = True

    def __init__(
        self,
        ae: ApplicationEntity,
        address: tuple[str, int],
        handlers: Sequence[tuple[Any, Callable[..., Any]]],
        ended: Callable[[Association], None] = lambda assoc: None,
        malformed: Callable[[Association, int], None] = lambda assoc, status: None,
    ) -> None:
        self.ended, self.malformed = ended, malformed
        super().__init__(ae, address, ae.ae_title, [], evt_handlers=list(handlers), request_handler=_Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Refuse a connection where very many are open: each costs two threads before it has said who it is."""
        return len(self.active_associations) < MAX_CONNECTIONS

    def server_bind(self) -> None:
        """Bind with ``SO_REUSEPORT``."""
        if self.socket is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection and set it up."""
        client, address = super().get_request()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        client.settimeout(self.ae.network_timeout)
        return client, address

    def close(self) -> None:
        """Accept nothing more; associations go on, connections that have not asked for one end."""
        BaseServer.shutdown(self)
        for assoc in self.active_associations:
            if isinstance(assoc, _Association):
                assoc.dismiss()
        self.server_close()
