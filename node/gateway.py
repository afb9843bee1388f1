"""The gateway process: HL7 processing, web, watched folder, completeness timers, delivery loops in one asyncio loop.

Whatever blocks (the records, C-STORE, MLLP out) runs in threads.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from node import logs
from node.broker import Broker, broker_url
from node.clock import now
from node.completion import Completion
from node.delivery import commitment
from node.delivery.committing import Committer
from node.delivery.escalation import Escalation
from node.delivery.outbox import Outbox
from node.dicom.indexer import known_until
from node.dicom.intake import Intake
from node.dicom.ledger import Ledger
from node.dicom.receiver import spool_of
from node.dicom.watch import Watch
from node.dispatch import Dispatcher
from node.errors import OverreadError
from node.hl7.processing import Processor
from node.records import results
from node.records.engine import Records
from node.settings import Settings
from node.storage.layout import LEDGER
from node.web.app import create_app
from node.web.server import WebServer, create_server

TICK_SECONDS = 0.25
"""How often the records are asked what is to be done."""

TICKS = {"hl7": 0.05}
"""Loops that ask more often: a sender may wait for the application's answer."""

INDEX_SECONDS = 60.0
"""An index that is further behind makes the node not ready."""

FAULT_SECONDS = 2.0
"""Pause of a loop after an error of its own."""


class Gateway:
    """All loops of the process; :meth:`run` returns after :meth:`stop`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._records = Records(settings.database_url)
        self._broker = Broker(broker_url(settings))
        self._spool = spool_of(settings, settles=False)
        self._ledger = Ledger(self._spool.root / LEDGER)
        self._intake = Intake(self._spool, self._ledger)
        path = settings.watch.path
        self._watch = Watch(settings, path, self._intake) if path is not None else None
        self._outboxes = [Outbox(item, settings, self._records) for item in settings.destinations]
        self._processor = Processor(self._records, settings)
        self._threads: ThreadPoolExecutor | None = None
        self._stopping = asyncio.Event()
        self._log = logs.get("gateway")

    def stop(self) -> None:
        """Ask all loops to end after what they are doing."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until stopped."""
        await asyncio.to_thread(self._prepare)
        web = self._web()
        loops = self._start()
        serving = asyncio.create_task(web.serve())
        self._log.info("gateway.started", port=self._settings.web.port, host=self._settings.web.host)
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({stopped, serving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stopping.set()
            web.should_exit = True
            for box in self._outboxes:
                box.interrupt()
            await asyncio.gather(*loops, serving, return_exceptions=True)
            await asyncio.to_thread(self._close)
            self._broker.close()
            self._records.close()
            self._log.info("gateway.stopped")
        serving.result()  # a web server that could not start ends the process with its error

    def _prepare(self) -> None:
        self._records.migrate()
        self._spool.open(self._intake.tell_recovered)  # which recovers what dead receivers left
        with self._records.write() as session:
            results.recover(session)
            results.without_destination(session, [item.name for item in self._settings.destinations])

    def _web(self) -> WebServer:
        ready, intake = self._broker.ready, self._intake
        probes = {"spool": self._has_room, "index": self._is_indexed}
        app = create_app(self._settings, self._records, broker_ready=ready, intake=intake, probes=probes)
        return create_server(self._settings, app)

    def _has_room(self) -> bool:
        """Whether senders are not told A700."""
        try:
            self._spool.require_room()
        except OverreadError:
            return False
        return True

    def _is_indexed(self) -> bool:
        """Whether the records know what was received a moment ago: the indexer runs and keeps up."""
        return now() - known_until(self._spool.root) < dt.timedelta(seconds=INDEX_SECONDS)

    def _works(self) -> list[tuple[str, Callable[[], int]]]:
        spool = self._spool.root
        completion = Completion(self._settings, self._records, clock=lambda: known_until(spool))
        dispatcher = Dispatcher(self._settings, self._records, self._broker, completion)
        reports = commitment.loops(self._settings, self._records, self._spool)
        archives = [item for item in self._settings.destinations if item.commitment and item.kind == "dicom"]
        committers = [Committer(item, self._settings, self._records) for item in archives]
        return [
            ("hl7", self._processor.work),
            ("dispatch", lambda: dispatcher.complete_studies() + dispatcher.send_waiting()),
            *((f"outbox {box.destination.name}", box.work) for box in self._outboxes),
            ("alerts", Escalation(self._settings, self._records).work),
            *((f"commitment of {item.destination.name}", item.work) for item in committers),
            *((report.name, report.work) for report in reports),
            *([("watched folder", self._watch.work)] if self._watch is not None else []),
        ]

    def _start(self) -> list[asyncio.Task[None]]:
        """Start all loops, each with a thread of its own: one that waits must not take what another one needs."""
        works = self._works()
        self._threads = ThreadPoolExecutor(max_workers=len(works), thread_name_prefix="loop")
        return [asyncio.create_task(self._loop(name, work)) for name, work in works]

    def _close(self) -> None:
        self._processor.close()
        for box in self._outboxes:
            box.close()
        if self._watch is not None:
            self._watch.stop()
        self._spool.close()
        self._ledger.close()

    async def _loop(self, name: str, work: Callable[[], int]) -> None:
        """Call ``work`` again and again, at once while there is some; an error is logged and does not end the loop."""
        idle = pause = TICKS.get(name, TICK_SECONDS)
        while not self._stopping.is_set():
            try:
                busy = await asyncio.get_running_loop().run_in_executor(self._threads, work)
                pause = 0.0 if busy else idle
            except Exception as exc:
                self._log.error("loop.failed", task=name, error=exc)
                pause = FAULT_SECONDS
            try:
                await asyncio.wait_for(self._stopping.wait(), pause)
            except TimeoutError:
                continue


def run_gateway(settings: Settings) -> None:
    """Run the gateway until SIGTERM or SIGINT."""

    async def main() -> None:
        gateway = Gateway(settings)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, gateway.stop)
        await gateway.run()

    asyncio.run(main())
