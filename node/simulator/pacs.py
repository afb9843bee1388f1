"""A PACS: takes whatever is stored to it and keeps it as ``<folder>/<Study UID>/<SOP Instance UID>.dcm``."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.events import EventHandlerType

from node.dicom.headers import read
from node.dicom.part10 import Command, file_meta
from node.dicom.scp.negotiation import contexts_for
from node.errors import OverreadError
from node.simulator.server import Server, storage_services


@dataclass(frozen=True, slots=True)
class Received:
    """One object that was taken."""

    sop_class: str
    sop_instance: str
    study_uid: str
    calling_ae_title: str
    path: Path


class PacsSimulator:
    """A storage SCP in threads of this process.

    Parameters
    ----------
    folder
        Where objects go.
    answers
        Statuses that the next objects get instead of being taken, one each; after that all are taken.
    delay
        Seconds to wait before each answer.

    Attributes
    ----------
    received
        What was taken, in order.
    associations
        How many were asked for.
    abort_next
        Set it to have the next object answered by an A-ABORT.
    """

    def __init__(
        self,
        folder: Path,
        ae_title: str = "SIM_PACS",
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        answers: Iterable[int] = (),
        delay: float = 0.0,
    ) -> None:
        self.folder = folder
        self.ae_title = ae_title
        self.received: list[Received] = []
        self.answers: deque[int] = deque(answers)
        self.delay = delay
        self.associations = 0
        self.abort_next = False
        self._address = (host, port)
        self._changed = threading.Condition()
        self._server: Server | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, once started."""
        return int(self._server.server_address[1]) if self._server else self._address[1]

    def start(self) -> PacsSimulator:
        """Listen in a thread."""
        ae = ApplicationEntity(self.ae_title)
        ae.maximum_associations = 64
        handlers: list[EventHandlerType] = [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_SOP_COMMON, self._services),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_ECHO, lambda event: 0x0000),
        ]
        self._server = Server(ae, self._address, self.ae_title, [], evt_handlers=handlers)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="pacs", daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop listening and abort what is open; the port stays the same for the next start."""
        if self._server is None:
            return
        self._address = (self._address[0], self.port)
        server, self._server = self._server, None
        server.close()
        for assoc in server.active_associations:
            assoc.abort()

    def wait_for(self, count: int, seconds: float) -> bool:
        """Wait until ``count`` objects were taken; False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.received) >= count, seconds)

    def __enter__(self) -> PacsSimulator:
        """Start."""
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        """Stop."""
        self.stop()

    def _requested(self, event: Any) -> None:
        assoc = event.assoc
        self.associations += 1
        assoc.acceptor.supported_contexts = contexts_for(assoc.requestor.primitive.presentation_context_definition_list)

    def _services(self, event: Any) -> Any:
        return storage_services(event.assoc.requestor.primitive.presentation_context_definition_list)

    def _store(self, event: Any) -> int | Dataset:
        """Answer C-STORE: what ``answers`` says next, else 0000, or the status of what is wrong with the object."""
        time.sleep(self.delay)
        if self.abort_next:
            self.abort_next = False
            event.assoc.abort()
            return 0xC000
        if self.answers:
            return self.answers.popleft()
        request, assoc = event.request, event.assoc
        command = Command(
            str(request.AffectedSOPClassUID),
            str(request.AffectedSOPInstanceUID),
            str(event.context.transfer_syntax),
            assoc.requestor.ae_title.strip(),
            self.ae_title,
        )
        try:
            self._keep(command, request.DataSet.getvalue())
        except OverreadError as exc:
            answer = Dataset()
            answer.Status, answer.ErrorComment = exc.dicom_status, str(exc)[:64]
            return answer
        return 0x0000

    def _keep(self, command: Command, dataset: bytes) -> None:
        header = read(command, memoryview(dataset))
        path = self.folder / header.study_uid / f"{header.uid}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{threading.get_ident()}.part")
        part.write_bytes(file_meta(command) + dataset)
        part.rename(path)
        with self._changed:
            self.received.append(
                Received(header.sop_class, header.uid, header.study_uid, command.calling_ae_title, path)
            )
            self._changed.notify_all()


def run_pacs(folder: Path, ae_title: str, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    parent = os.getppid()
    with PacsSimulator(folder, ae_title, host, port):
        while not stop.wait(1.0) and os.getppid() == parent:
            pass  # a simulator whose starter died goes too
