"""An association that the node asks for, to store objects (PS3.8 section 9.2, the requestor; PS3.7 section 9.1.1).

pynetdicom's requestor has a thread of its own that looks for answers now and then, which costs more than the other side
takes for an object of ordinary size. Storing is where that matters; everything else goes through
:mod:`node.dicom.requestor`. The codecs of association PDUs are pynetdicom's here too.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydicom.uid import UID
from pynetdicom import build_context
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, MaximumLengthNotification

from node.dicom.scp import dimse, wire
from node.dicom.scp.dimse import CommandSet
from node.dicom.scp.negotiation import APPLICATION_CONTEXT, user_information
from node.dicom.scp.wire import Limits, PeerGone, PeerSlow, ProtocolError, Wire
from node.errors import DeliveryError

T = TypeVar("T")
Contexts = Sequence[tuple[str, Sequence[str]]]
"""Presentation contexts to propose: an abstract syntax and its transfer syntaxes."""

MAX_PDU = 1 << 17
ASSOCIATE_BYTES = 1 << 18
"""Longest answer to an association request that is read."""
CLOSE_SECONDS = 5.0
"""How long the other side may take to confirm a release."""
RELEASE_RQ = bytes((wire.RELEASE_RQ, 0, 0, 0, 0, 4, 0, 0, 0, 0))
RELEASE_RP = bytes((wire.RELEASE_RP, 0, 0, 0, 0, 4, 0, 0, 0, 0))
ABORT = bytes((wire.ABORT, 0, 0, 0, 0, 4, 0, 0, 0, 0))


@dataclass(frozen=True, slots=True)
class Remote:
    """An application entity that can be called, and how."""

    host: str
    port: int
    called: str
    calling: str
    timeout: float = 60.0
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        """Return the name for people."""
        return f"{self.called} at {self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Message:
    """A request as it goes out, and its Message ID. Long data sets are cut up while they are sent."""

    number: int
    parts: Iterable[bytes]


class StoreAssociation:
    """One association, from :meth:`open` to :meth:`release`.

    Attributes
    ----------
    accepted
        Abstract and transfer syntax of the accepted presentation contexts, by their id.
    """

    def __init__(self, remote: Remote) -> None:
        self.established = False
        self.accepted: Mapping[int, tuple[str, str]] = {}
        self._remote = remote
        self._number = self._awaited = self._max_pdu = 0

    def open(self, proposed: Contexts) -> None:
        """Ask for the association, with at most 128 presentation contexts (PS3.8 section 9.3.2.2).

        Raises
        ------
        DeliveryError
            If none comes about; it says why in the other side's words.
        """
        self._connection = _connect(self._remote)
        self._wire = Wire(self._connection, Limits(self._remote.timeout, self._remote.timeout, MAX_PDU))
        self.established = True
        try:
            self.accepted, self._max_pdu = self._guarded(lambda: self._negotiate(proposed))
        except DeliveryError:
            self.abort()
            raise
        if not self.accepted:
            self.release()
            said = f"{self._remote} accepts none of the SOP classes and transfer syntaxes"
            raise DeliveryError(said, status="not accepted")

    def message(self, context: int, sop_class: str, sop_instance: str, data: bytes) -> Message:
        """Return a C-STORE request for an object, ready to be sent: what is made ready before saves time after."""
        self._number = self._number % 0xFFFF + 1
        command = dimse.store_request(context, sop_class, sop_instance, self._number)
        parts = self._parts(context, command, memoryview(data))
        return Message(self._number, tuple(parts) if len(data) <= wire.READ_BYTES else parts)

    def send(self, message: Message) -> None:
        """Send an object; its answer is what :meth:`receive` returns next.

        Raises
        ------
        DeliveryError
            If the association is over.
        """
        self._awaited = message.number
        self._guarded(lambda: self._send(message))

    def receive(self) -> CommandSet:
        """Wait for the answer to what was sent last.

        Raises
        ------
        DeliveryError
            If none comes; the association is over then.
        """
        return self._guarded(self._answer)

    def quiet(self) -> bool:
        """Whether nothing has come while nothing was asked: what comes then is the end of the association."""
        return self.established and not select.select([self._connection], [], [], 0)[0]

    def release(self) -> None:
        """End the association in good order."""
        if not self.established:
            return
        with contextlib.suppress(DeliveryError):
            self._guarded(self._release)
        self._close()

    def abort(self) -> None:
        """End it at once."""
        if not self.established:
            return
        with contextlib.suppress(PeerGone, PeerSlow):
            self._wire.send(ABORT)
        self._close()

    def interrupt(self) -> None:
        """Have the thread that waits for an answer wait no longer (called by another thread)."""
        if self.established:
            wire.shut(self._connection)

    def _close(self) -> None:
        self.established = False
        with contextlib.suppress(OSError):
            self._connection.close()

    def _guarded(self, work: Callable[[], T]) -> T:
        """Translate what may go wrong on the wire; the association is over then."""
        if not self.established:
            raise DeliveryError(f"the association with {self._remote} is over", status="no answer")
        try:
            return work()
        except PeerSlow as exc:
            self.abort()
            said = f"{self._remote} did not answer within {self._remote.timeout:g} s"
            raise DeliveryError(said, status="no answer") from exc
        except PeerGone as exc:
            self._close()
            said = f"{self._remote} does not answer, or broke the connection off: {exc}"
            raise DeliveryError(said, status="no answer") from exc
        except ProtocolError as exc:
            self.abort()
            raise DeliveryError(f"{self._remote} sent what DICOM does not allow: {exc}", status="no answer") from exc

    def _negotiate(self, proposed: Contexts) -> tuple[Mapping[int, tuple[str, str]], int]:
        """Ask; returns the accepted contexts and the longest PDU that the other side takes."""
        self._wire.send(_request(self._remote, proposed))
        kind, length = self._wire.next_pdu()
        if length > ASSOCIATE_BYTES:
            raise ProtocolError("the answer to the association request is too long")
        pdu = bytes((kind, 0)) + length.to_bytes(4, "big") + self._wire.read(length)
        if kind == wire.ABORT:
            raise PeerGone("it aborted")
        try:
            if kind == wire.ASSOCIATE_RJ:
                self._rejected(pdu)
            answer = A_ASSOCIATE_AC()
            answer.decode(pdu)
            return _accepted(answer, proposed), _max_pdu(answer)
        except DeliveryError:
            raise
        except Exception as exc:  # whatever pynetdicom's codec stumbles over
            raise ProtocolError("the answer to the association request cannot be read") from exc

    def _rejected(self, pdu: bytes) -> None:
        answer = A_ASSOCIATE_RJ()
        answer.decode(pdu)
        said = f"{answer.reason_str.lower()} ({answer.result_str})"
        raise DeliveryError(f"{self._remote} rejected the association: {said}", status="no association")

    def _send(self, message: Message) -> None:
        for part in message.parts:
            self._wire.send(part)

    def _parts(self, context: int, command: bytes, data: memoryview) -> Iterator[bytes]:
        """Yield command and data set, a megabyte at a time; the first one goes with the command."""
        room = dimse.fragment_bytes(self._max_pdu)
        step = room * max(1, wire.READ_BYTES // room)
        for start in range(0, max(len(data), 1), step):
            whole = start + step >= len(data)
            yield command + dimse.pdus(context, data[start : start + step], 0, self._max_pdu, whole=whole)
            command = b""

    def _answer(self) -> CommandSet:
        body = bytearray()
        deadline = time.monotonic() + self._remote.timeout
        while True:
            kind, length = self._wire.next_pdu()
            if kind == wire.ABORT:
                raise PeerGone("it aborted the association")
            if kind == wire.RELEASE_RQ:
                self._wire.send(RELEASE_RP)
                raise PeerGone("it released the association")
            if kind != wire.P_DATA_TF or not wire.PDV_HEAD.size <= length <= MAX_PDU:
                raise ProtocolError("a PDU came that does not belong here")
            if self._fragments(body, length):
                return self._matching(CommandSet(body))
            if time.monotonic() > deadline:  # fragments that never end would hold the others back for ever
                raise PeerSlow("the answer does not end")

    def _fragments(self, body: bytearray, length: int) -> bool:
        """Read the presentation data values of one PDU; returns whether the command set is whole."""
        whole = False
        while length:
            if length < wire.PDV_HEAD.size:
                raise ProtocolError("a presentation data value is cut off")
            size, _, flags = wire.PDV_HEAD.unpack(self._wire.read(wire.PDV_HEAD.size))
            length -= size + 4
            if size < 2 or length < 0 or len(body) + size > dimse.COMMAND_BYTES:
                raise ProtocolError("a presentation data value has a wrong length")
            part = self._wire.read(size - 2)
            if flags & 1:
                body += part
                whole = whole or bool(flags & 2)
        return whole

    def _matching(self, answer: CommandSet) -> CommandSet:
        field = dimse.C_STORE_RQ | dimse.RESPONSE
        if answer.number(dimse.COMMAND_FIELD) != field or answer.number(dimse.RESPONDED_TO) != self._awaited:
            raise ProtocolError("a message came that is no answer to what was sent")
        if answer.number(dimse.STATUS) is None:
            raise ProtocolError("an answer has no status")
        return answer

    def _release(self) -> None:
        self._wire.send(RELEASE_RQ)
        kind, length = self._wire.next_pdu(min(CLOSE_SECONDS, self._remote.timeout))
        self._wire.read(min(length, 4))
        if kind == wire.RELEASE_RQ:  # both at once: the requestor answers first (PS3.8 section 7.2.2.7)
            self._wire.send(RELEASE_RP)


def _connect(remote: Remote) -> socket.socket:
    try:
        connection = socket.create_connection((remote.host, remote.port), remote.timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if remote.tls is None:
            return connection
        return remote.tls.wrap_socket(connection, server_hostname=remote.host)
    except (OSError, ValueError) as exc:
        said = f"{remote} does not answer: {_reason(exc)}"
        raise DeliveryError(said, status="no association") from exc


def _reason(exc: OSError | ValueError) -> str:
    if isinstance(exc, ssl.SSLError):
        return f"TLS: {exc.reason or type(exc).__name__}"
    return type(exc).__name__


def _request(remote: Remote, proposed: Contexts) -> bytes:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = UID(APPLICATION_CONTEXT)
    primitive.calling_ae_title, primitive.called_ae_title = remote.calling, remote.called
    contexts = [build_context(abstract, list(syntaxes)) for abstract, syntaxes in proposed]
    for number, cx in enumerate(contexts):
        cx.context_id = 2 * number + 1
    primitive.presentation_context_definition_list = contexts
    primitive.user_information = user_information(MAX_PDU)
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())


def _accepted(answer: A_ASSOCIATE_AC, proposed: Contexts) -> Mapping[int, tuple[str, str]]:
    """Return abstract and transfer syntax of the accepted contexts by their id, as far as they were proposed."""
    found = {}
    for item in answer.presentation_context:
        number, syntax = int(item.presentation_context_id or 0), str(item.transfer_syntax or "")
        if item.result == 0 and number % 2 and number // 2 < len(proposed):
            abstract, syntaxes = proposed[number // 2]
            if syntax in syntaxes:
                found[number] = (abstract, syntax)
    return found


def _max_pdu(answer: A_ASSOCIATE_AC) -> int:
    for item in answer.to_primitive().user_information:
        if isinstance(item, MaximumLengthNotification):
            return int(item.maximum_length_received or 0)
    return 0
