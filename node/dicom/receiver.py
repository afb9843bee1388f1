"""The receiver process: the DICOM port. It needs no database to take objects in, and loads none before it does."""

from __future__ import annotations

import gc
import signal
import threading
import warnings

from node import logs
from node.dicom.intake import Intake
from node.dicom.ledger import Ledger
from node.dicom.scp.admission import Admission
from node.dicom.scp.server import Server
from node.dicom.scp.session import Port
from node.dicom.scp.sharing import Place, Shares
from node.dicom.scp.tls import server_context
from node.dicom.services.base import Resources
from node.processes import allow_descriptors
from node.settings import Settings
from node.storage import Spool
from node.storage.layout import LEDGER
from node.storage.room import Room


class DicomReceiver:
    """Serves the DICOM port of one process: see :mod:`node.dicom.scp`."""

    def __init__(self, settings: Settings, intake: Intake, place: Place | None = None) -> None:
        self._settings = settings
        self._place = place
        self._intake = intake
        self._server: Server | None = None
        self._admission: Admission | None = None
        self._lock = threading.Lock()
        self._shared: Resources | None = None
        self._log = logs.get("receiver")

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._server.address[1] if self._server else self._settings.dicom.port

    def start(self) -> None:
        """Listen and return."""
        section = self._settings.dicom
        if not section.peers:
            self._log.warning("every calling AE title and address is accepted: dicom.peers is empty")
        if section.durability == "none":
            self._log.warning("Success does not mean kept on the disk: dicom.durability is none")
        context = server_context(section.tls)
        self._admission = Admission(
            self._intake.spool.root / "associations", section.max_associations, section.max_associations_per_peer
        )
        port = Port(section, self._intake, self._admission, self._resources, self.connections)
        self._server = Server((section.host, section.port), port, context, self._place)
        self._server.start()
        self._log.info("listening", host=section.host, port=self.port, ae_title=section.ae_title)

    def stop(self, timeout: float) -> None:
        """Accept nothing more, let associations finish for ``timeout`` seconds, abort the rest."""
        if self._server is not None:
            self._server.stop(timeout)
        if self._admission is not None:
            self._admission.close()
        with self._lock:
            if self._shared is not None:
                self._shared.records.close()
        self._server = self._admission = self._shared = None

    def associations(self) -> int:
        """Return how many associations are open in this process."""
        return self._server.associations() if self._server else 0

    def connections(self) -> int:
        """Return how many connections are open in this process, with and without an association."""
        return self._server.connections() if self._server else 0

    def _resources(self) -> Resources:
        """Return what services other than C-STORE use; the records are opened for the first of them."""
        from node.records.engine import Records

        with self._lock:
            if self._shared is None:
                self._shared = Resources(self._settings, Records(self._settings.database_url), self._intake.spool)
            return self._shared


def spool_of(settings: Settings, *, journal: bool = False, settles: bool = True) -> Spool:
    """Return the spool that the settings describe.

    Parameters
    ----------
    journal
        For processes that take in many small objects.
    settles
        Whether the process knows ends of associations; for one that does not, each object is durable by itself.
    """
    root, section = settings.node.root / "spool", settings.dicom
    at_the_end = section.durability == "association"
    return Spool(
        root,
        durability="instance" if at_the_end and not settles else section.durability,
        duplicates=section.duplicates,
        journal_bytes=section.journal_bytes if journal else 0,
        room=Room(root, section.min_free_bytes, section.min_free_percent),
    )


def run_receiver(settings: Settings, shares: Shares | None = None, number: int = 0) -> None:
    """Serve the DICOM port until SIGTERM or SIGINT; then let associations finish, and return.

    Parameters
    ----------
    shares, number
        What the processes of the port have in common, and which of them this is.
    """
    warnings.filterwarnings("ignore", category=UserWarning)  # pydicom's quote attribute values
    stop = stop_signal()
    allow_descriptors()
    spool = spool_of(settings, journal=True)
    ledger = Ledger(spool.root / LEDGER)
    intake = Intake(spool, ledger)
    spool.open(intake.tell_recovered)
    receiver = DicomReceiver(settings, intake, Place(shares, number) if shares is not None else None)
    receiver.start()
    settle_memory()
    stop.wait()
    receiver.stop(settings.node.stop_seconds / 2)
    ledger.close()
    spool.close()
    logs.get("receiver").info("stopped")


def settle_memory() -> None:
    """Spare the collector what lives as long as the process, and let it run seldom: a C-STORE leaves no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def stop_signal() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set from now on."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
