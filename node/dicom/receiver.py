"""The storage SCP (PS3.4 annex B) and C-ECHO (PS3.4 annex A), behind an interface that hides what serves them."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
import warnings
from collections.abc import Sequence
from typing import Any, Protocol

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association

from node import logs
from node.dicom import access
from node.dicom.association import Server, contexts_for, storage_services
from node.dicom.indexer import Indexer
from node.dicom.intake import Intake
from node.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, Command
from node.dicom.reconcile import reconcile
from node.errors import OverreadError
from node.records.engine import Records
from node.settings import DicomSection, Settings
from node.storage import Spool

COMMENT_WIDTH = 64
"""(0000,0902) Error Comment is LO: 64 characters (PS3.7 annex C)."""
ABORT_SECONDS = 2.0
"""How long aborted associations may take to end."""
UNLIMITED = 1 << 30
ASSOCIATE_SECONDS = 30.0
"""A connection that has not asked for an association by then is closed (ARTIM, PS3.8 section 9.1.4)."""


class Receiver(Protocol):
    """What serves a DICOM port: takes objects, tells :class:`~node.dicom.intake.Intake`, answers with its status."""

    @property
    def port(self) -> int:
        """The port that is listened on."""
        ...

    def start(self) -> None:
        """Listen and return."""
        ...

    def stop(self, timeout: float) -> None:
        """Accept nothing more, let associations finish for ``timeout`` seconds, abort the rest."""
        ...


class PynetdicomReceiver:
    """A :class:`Receiver` made of pynetdicom: a thread and a half for each association."""

    def __init__(self, settings: DicomSection, intake: Intake) -> None:
        self._settings = settings
        self._intake = intake
        self._numbers = itertools.count(1)
        self._server: Server | None = None
        self._lock = threading.Lock()
        self._open: set[Association] = set()
        self._log = logs.get("receiver")

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1]) if self._server else self._settings.port

    def start(self) -> None:
        """Listen and return."""
        if not self._settings.peers:
            self._log.warning("every calling AE title and address is accepted: dicom.peers is empty")
        handlers = [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_SOP_COMMON, self._services),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_ECHO, self._echo),
        ]
        address = (self._settings.host, self._settings.port)
        try:
            self._server = Server(self._entity(), address, handlers, self._ended, self._malformed)
        except OSError as exc:
            raise OverreadError(f"cannot listen on {address[0]}:{address[1]} (DICOM): {exc.strerror}") from exc
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="acceptor", daemon=True).start()
        self._log.info("listening", host=self._settings.host, port=self.port, ae_title=self._settings.ae_title)

    def stop(self, timeout: float) -> None:
        """Accept nothing more, let associations finish for ``timeout`` seconds, abort the rest."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        deadline = time.monotonic() + timeout
        while server.active_associations and time.monotonic() < deadline:
            time.sleep(0.05)
        self._abort(server.active_associations)

    def _abort(self, associations: Sequence[Association]) -> None:
        """Abort all at once: each waits for its peer."""
        threads = [threading.Thread(target=assoc.abort, daemon=True) for assoc in associations]
        for assoc, thread in zip(associations, threads, strict=True):
            self._log.warning("association aborted: the receiver stops", association=_name(assoc))
            thread.start()
        deadline = time.monotonic() + ABORT_SECONDS
        for waiting in (*threads, *associations):
            waiting.join(max(deadline - time.monotonic(), 0.0))

    def associations(self) -> list[Association]:
        """Return the associations that are open."""
        return self._server.active_associations if self._server else []

    def wait_until_idle(self, timeout: float) -> bool:
        """Wait until no association is open; False if that takes longer."""
        deadline = time.monotonic() + timeout
        while self.associations():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def _entity(self) -> ApplicationEntity:
        ae = ApplicationEntity(self._settings.ae_title)
        ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        ae.maximum_associations = UNLIMITED  # they are counted in _admit, which knows which of them are rejected
        ae.maximum_pdu_size = self._settings.max_pdu_bytes
        ae.network_timeout = self._settings.idle_seconds or None
        ae.acse_timeout = ASSOCIATE_SECONDS
        return ae

    def _requested(self, event: Any) -> None:
        """Judge an association request."""
        assoc = event.assoc
        assoc.name = f"{assoc.name}#{os.getpid()}-{next(self._numbers)}"
        request = assoc.requestor.primitive
        calling, called = request.calling_ae_title, request.called_ae_title
        rejection = access.judge(self._settings, calling, called, _address(assoc)) or self._admit(assoc)
        if rejection is None:
            assoc.acceptor.supported_contexts = contexts_for(request.presentation_context_definition_list)
            return
        self._report(assoc, calling, rejection)
        assoc.is_rejected = True
        assoc.acse.send_reject(rejection.result, rejection.source, rejection.reason)
        assoc.kill()  # waits until the answer is out

    def _admit(self, assoc: Association) -> access.Rejection | None:
        with self._lock:
            if len(self._open) >= self._settings.max_associations:
                return access.LIMIT_EXCEEDED
            self._open.add(assoc)
        return None

    def _report(self, assoc: Association, calling: str, rejection: access.Rejection) -> None:
        title = "".join(char for char in calling if char.isprintable()).strip()
        peer = _address(assoc)
        self._log.warning(
            "association rejected", association=_name(assoc), ae_title=title, peer=peer, reason=rejection.text
        )
        self._intake.note(
            "association.rejected", f"An association from {title} at {peer} was rejected: {rejection.text}."
        )

    def _services(self, event: Any) -> Any:
        return storage_services(event.assoc.requestor.primitive.presentation_context_definition_list)

    def _store(self, event: Any) -> int | Dataset:
        """Answer C-STORE: 0000, A700 (no room), A900 (does not match), Cxxx (cannot understand); PS3.4 table B.2-1."""
        request, assoc = event.request, event.assoc
        command = Command(
            sop_class=str(request.AffectedSOPClassUID or "").strip("\0 "),
            sop_instance=str(request.AffectedSOPInstanceUID or "").strip("\0 "),
            transfer_syntax=str(event.context.transfer_syntax),
            calling_ae_title=assoc.requestor.ae_title.strip(),
            called_ae_title=assoc.requestor.primitive.called_ae_title.strip(),
        )
        # getvalue() of a BytesIO shares its memory: the object is not copied on its way to the disk.
        status, comment = self._intake.take(_name(assoc), command, memoryview(request.DataSet.getvalue()))
        if not comment:
            return status
        answer = Dataset()
        answer.Status = status
        answer.ErrorComment = comment[:COMMENT_WIDTH]
        return answer

    def _echo(self, event: Any) -> int:
        return 0x0000

    def _malformed(self, assoc: Association, status: int) -> None:
        self._intake.refuse(_name(assoc), assoc.requestor.ae_title.strip(), status, "the C-STORE command is not whole")

    def _ended(self, assoc: Association) -> None:
        with self._lock:
            admitted = assoc in self._open
            self._open.discard(assoc)
        if not admitted:
            return
        if assoc.is_released:
            title = assoc.requestor.ae_title.strip()
            self._log.info("association released", association=_name(assoc), ae_title=title, peer=_address(assoc))
        else:
            self._lost(assoc)
        self._intake.end(_name(assoc))

    def _lost(self, assoc: Association) -> None:
        title = assoc.requestor.ae_title.strip()
        self._log.warning("association lost", association=_name(assoc), ae_title=title, peer=_address(assoc))
        text = f"An association from {title} at {_address(assoc)} was aborted or lost."
        self._intake.note("association.lost", text)


def run_receiver(settings: Settings) -> None:
    """Serve the DICOM port until SIGTERM or SIGINT; then let associations finish, write the index, and return."""
    warnings.filterwarnings("ignore", category=UserWarning)  # pydicom's quote attribute values
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    records = Records(settings.database_url)
    records.migrate()
    spool = Spool(settings.node.root / "spool")
    spool.sweep()
    reconcile(spool, records)
    indexer = Indexer(records)
    indexer.start()
    receiver: Receiver = PynetdicomReceiver(settings.dicom, Intake(spool, indexer))
    receiver.start()
    stop.wait()
    receiver.stop(settings.node.stop_seconds / 2)
    indexer.stop(settings.node.stop_seconds / 4)
    records.close()
    logs.get("receiver").info("stopped")


def _address(assoc: Association) -> str:
    return assoc.requestor.address_info.address if assoc.requestor.address_info else ""


def _name(assoc: Association) -> str:
    return assoc.name.rsplit("@", 1)[-1]
