"""One association from its request to its end (PS3.8 section 9.2, the acceptor), in the thread of its connection.

The states of the standard are places in the code: :meth:`Association.serve` waits for the request (Sta2), serves
messages (Sta6) and waits for the peer to close (Sta13).
"""

from __future__ import annotations

import socket
import threading

from node import logs
from node.dicom import access
from node.dicom.scp import negotiation
from node.dicom.scp.messages import Messages
from node.dicom.scp.negotiation import Proposal
from node.dicom.scp.session import Port, Session
from node.dicom.scp.wire import (
    ABORT,
    ASSOCIATE_RQ,
    P_DATA_TF,
    RELEASE_RQ,
    UNEXPECTED,
    UNRECOGNISED,
    PeerGone,
    PeerSlow,
    ProtocolError,
    Wire,
    shut,
)
from node.errors import OverreadError

ASSOCIATE_SECONDS = 30.0
"""A connection that has not asked for an association by then is closed (ARTIM, PS3.8 section 9.1.4)."""
CLOSE_SECONDS = 2.0
"""How long a peer may take to close the connection after its release was confirmed; also ARTIM."""
ASSOCIATE_BYTES = 1 << 18
"""Longest request that is read: 128 contexts of all transfer syntaxes; decoding a megabyte takes seconds."""
SERVICE_USER, SERVICE_PROVIDER = 0, 2
"""Sources of an A-ABORT (PS3.8 table 9-26)."""
RELEASE_RP = bytes((6, 0, 0, 0, 0, 4, 0, 0, 0, 0))


class Association:
    """One connection's association; :meth:`serve` returns when it is over."""

    def __init__(self, wire: Wire, address: str, name: str, port: Port) -> None:
        self.name = name
        self.established = False
        self._stopped = threading.Event()
        self._wire, self._address, self._port = wire, address, port
        self._log = logs.get("receiver")

    def serve(self) -> None:
        """Serve the connection to its end, whatever that is."""
        entry = None
        try:
            request = self._request()
            calling, called = negotiation.titles(request)
            rejection = access.judge(self._port.settings, calling, called, self._address)
            if rejection is not None:  # nothing else of a stranger's request is decoded
                self._reject(calling, rejection)
                return
            proposal = negotiation.parse(request)
            rejection = _judge(proposal)
            if rejection is None:
                entry = self._port.admission.enter(f"{calling}|{self._address}")
                rejection = access.LIMIT_EXCEEDED if entry is None else None
            if rejection is not None:
                self._reject(calling, rejection)
            else:
                self._serve_established(proposal)
        except (PeerGone, PeerSlow):
            return  # AA-2 and AA-5: nobody to answer
        except ProtocolError as exc:
            self._abort(SERVICE_USER, 0, str(exc))  # AA-1
        finally:
            if entry is not None:
                self._port.admission.leave(entry)

    def stop(self, connection: socket.socket) -> None:
        """Have the connection's thread abort the association (called by another thread)."""
        self._stopped.set()
        shut(connection, socket.SHUT_RD)

    def _request(self) -> bytes:
        """Wait for the association request, and return it with its head."""
        kind, length = self._wire.next_pdu(ASSOCIATE_SECONDS)
        if kind == ABORT:
            raise PeerGone("the peer aborted")
        if kind != ASSOCIATE_RQ:
            raise ProtocolError("the first PDU is no association request", UNEXPECTED)
        if length > ASSOCIATE_BYTES:
            raise ProtocolError("the association request is too long")
        return bytes((kind, 0)) + length.to_bytes(4, "big") + self._wire.read(length)

    def _serve_established(self, proposal: Proposal) -> None:
        """Accept, serve messages, and say how it ended."""
        released = False
        messages = None
        try:
            answer, contexts = negotiation.accept(proposal, self._port.settings.max_pdu_bytes)
            self.established = True
            messages = Messages(self._wire, Session(self.name, self._address, proposal, contexts, self._port))
            self._wire.send(answer)
            released = self._serve_messages(messages)
        except PeerGone:
            if self._stopped.is_set():
                self._abort(SERVICE_USER, 0, "the receiver stops")
        except ProtocolError as exc:
            self._abort(SERVICE_PROVIDER, exc.reason, str(exc))  # AA-8
        except OverreadError as exc:
            self._abort(SERVICE_USER, 0, str(exc))
        except Exception:
            self._abort(SERVICE_USER, 0, "internal error")
            raise
        finally:
            if messages is not None:
                messages.close()
            self._over(proposal, released)

    def _serve_messages(self, messages: Messages) -> bool:
        """Serve until the peer releases (True) or aborts (False)."""
        while True:
            kind, length = self._wire.next_pdu(messages.patience)
            if kind == P_DATA_TF:
                messages.data(length)
            elif kind == RELEASE_RQ:
                self._wire.read(min(length, 4))
                messages.settle()
                self._port.intake.spool.settle()
                self._wire.send(RELEASE_RP)
                self._wire.drain(CLOSE_SECONDS)
                return True
            elif kind == ABORT:
                return False
            elif 1 <= kind <= ABORT:
                raise ProtocolError("a PDU came at the wrong time", UNEXPECTED)
            else:
                raise ProtocolError("a PDU of a type that does not exist", UNRECOGNISED)

    def _reject(self, title: str, rejection: access.Rejection) -> None:
        self._log.warning(
            "association rejected", association=self.name, ae_title=title, peer=self._address, reason=rejection.text
        )
        self._port.intake.note(
            "association.rejected", f"An association from {title} at {self._address} was rejected: {rejection.text}."
        )
        self._wire.send(bytes((3, 0, 0, 0, 0, 4, 0, rejection.result, rejection.source, rejection.reason)))
        self._wire.drain(CLOSE_SECONDS)

    def _abort(self, source: int, reason: int, text: str) -> None:
        self._log.warning("association aborted", association=self.name, peer=self._address, reason=text)
        try:
            self._wire.send(bytes((7, 0, 0, 0, 0, 4, 0, 0, source, reason)))
        except OverreadError:
            return
        self._wire.drain(CLOSE_SECONDS)

    def _over(self, proposal: Proposal, released: bool) -> None:
        title = proposal.calling_ae_title
        if released:
            self._log.info("association released", association=self.name, ae_title=title, peer=self._address)
        else:
            self._log.warning("association lost", association=self.name, ae_title=title, peer=self._address)
            text = f"An association from {title} at {self._address} was aborted or lost."
            self._port.intake.note("association.lost", text)
        self._port.intake.end(self.name)


def _judge(proposal: Proposal) -> access.Rejection | None:
    if not proposal.protocol_version & 1:  # PS3.8 section 9.3.2: bit 0, and no other is looked at
        return access.PROTOCOL_NOT_SUPPORTED
    if proposal.application_context != negotiation.APPLICATION_CONTEXT:
        return access.CONTEXT_NOT_SUPPORTED
    return None
