"""Asking for an association (PS3.8 section 7.1), with what pynetdicom lacks on a busy machine."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from pynetdicom import build_role
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext

from node.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.errors import DeliveryError

MAX_PDU = 1 << 17
LOOK_SECONDS = 0.02
"""How often threads that wait for each other look."""
REJECTED = (1, 2)
"""Results of an A-ASSOCIATE-RJ: permanent, transient (PS3.8 table 9-21)."""


@contextmanager
def associated(
    contexts: Sequence[PresentationContext],
    host: str,
    port: int,
    called: str,
    calling: str,
    timeout: float,
    tls: ssl.SSLContext | None = None,
    provider_of: str = "",
) -> Iterator[Association]:
    """Open an association, over TLS where a context for it is given, that is released at the end.

    Parameters
    ----------
    provider_of
        A SOP class of which the node is the provider although it asks for the association (SCP role, PS3.7 D.3.3.4).

    Raises
    ------
    DeliveryError
        If none comes about; it says why in the other side's words.
    """
    ae = ApplicationEntity(calling)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = timeout
    try:
        secured = None if tls is None else (tls, host)
        roles: list[Any] = [build_role(provider_of, scp_role=True)] if provider_of else []
        assoc = ae.associate(
            host, port, contexts=list(contexts), ae_title=called, max_pdu=MAX_PDU, ext_neg=roles, tls_args=secured
        )
    except (OSError, ValueError, RuntimeError) as exc:
        raise DeliveryError(f"{host}:{port} cannot be reached: {type(exc).__name__}") from exc
    if not assoc.is_established:
        raise DeliveryError(_why_not(assoc, host, port, called), status="no association")
    if assoc.dul.socket is not None and assoc.dul.socket.socket is not None:
        assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assoc._reactor_checkpoint = _Gate(assoc)
    reports = _Reports(assoc)
    try:
        yield assoc
    finally:
        reports.wait(timeout)
        if assoc.is_established and not assoc.acse.is_aborted():
            assoc.release()
        else:
            assoc.kill()


def wait_until_over(assoc: Association) -> None:
    """Wait until the association's thread has noticed that the other side aborted or is gone."""
    deadline = time.monotonic() + 2.0
    while assoc.is_established and time.monotonic() < deadline:
        time.sleep(0.005)


def _why_not(assoc: Association, host: str, port: int, called: str) -> str:
    # A rejection that comes at once is taken by pynetdicom for a connection that failed, and left in its queue.
    answer = assoc.acceptor.primitive or assoc.dul.receive_pdu()
    if not isinstance(answer, A_ASSOCIATE):
        answer = None
    if answer is not None and answer.result in REJECTED:
        return f"{called} at {host}:{port} rejected the association: {answer.reason_str.lower()} ({answer.result_str})"
    if answer is not None:
        return f"{called} at {host}:{port} accepts none of the SOP classes and transfer syntaxes"
    return f"{called} at {host}:{port} does not answer, or broke the connection off"


class _Reports:
    """Reports of the other side that are being answered.

    pynetdicom serves each in a thread of its own, which says at its end that the association's thread is not paused,
    whether it is or not; who waits for a pause then waits for ever. And an answer that is sent after the release was
    asked for ends the association's connection without a word (PS3.8 table 9-10: no such event in Sta7).
    """

    def __init__(self, assoc: Association) -> None:
        self._assoc = cast(Any, assoc)
        self._serve = self._assoc._serve_request
        self._changed = threading.Condition()
        self._count = 0
        self._assoc._serve_request = self._counted

    def wait(self, seconds: float) -> None:
        """Wait until all are answered."""
        with self._changed:
            self._changed.wait_for(lambda: not self._count, seconds)

    def _counted(self, message: Any, context: int) -> None:
        with self._changed:
            self._count += 1
        try:
            self._serve(message, context)
        finally:
            if not self._assoc._reactor_checkpoint.is_set():
                self._assoc._is_paused = True
            with self._changed:
                self._count -= 1
                self._changed.notify_all()


class _Gate(threading.Event):
    """Where an association's own thread waits while an answer is awaited; closing it waits until that thread stands.

    pynetdicom's own flag for this is read a moment before the thread looks for messages once more, so that on a busy
    machine the thread sometimes takes the answer away, and the caller waits for its time limit.
    """

    def __init__(self, assoc: Association) -> None:
        super().__init__()
        self._assoc = assoc
        self._standing = threading.Event()
        self.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the gate is open (called by the association's thread, which never gives a limit)."""
        while not self.is_set():
            self._standing.set()  # each time anew: the gate may have been opened and closed before this thread looked
            super().wait(LOOK_SECONDS)
        return True

    def clear(self) -> None:
        """Close the gate and wait until the association's thread stands before it."""
        if not self.is_set():
            return
        self._standing.clear()
        super().clear()
        while self._assoc.is_alive() and self._assoc is not threading.current_thread():
            if self._standing.wait(LOOK_SECONDS):
                self._assoc._is_paused = True  # which is what pynetdicom waits for next, without a limit
                return
