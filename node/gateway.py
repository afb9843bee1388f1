"""The gateway process: MLLP server, web, completeness timers and delivery loops in one asyncio loop.

Whatever blocks (the records, C-STORE, MLLP out) runs in threads.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from node import logs
from node.broker import Broker, broker_url
from node.delivery.outbox import Outbox
from node.dispatch import Dispatcher
from node.hl7 import inbound
from node.records import results
from node.records.engine import Records
from node.settings import Settings
from node.web.app import create_app
from node.web.server import WebServer, create_server

TICK_SECONDS = 0.25
"""How often the records are asked what is to be done."""

FAULT_SECONDS = 2.0
"""Pause of a loop after an error of its own."""


class Gateway:
    """All loops of the process; :meth:`run` returns after :meth:`stop`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._records = Records(settings.database_url)
        self._broker = Broker(broker_url(settings))
        self._stopping = asyncio.Event()
        self._log = logs.get("gateway")

    def stop(self) -> None:
        """Ask all loops to end after what they are doing."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until stopped."""
        await asyncio.to_thread(self._prepare)
        mllp = inbound.server(self._records, self._settings)
        await mllp.start()
        web = self._web()
        loops = [asyncio.create_task(loop) for loop in self._loops()]
        serving = asyncio.create_task(web.serve())
        self._log.info("gateway.started", port=self._settings.hl7.port, host=self._settings.web.host)
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({stopped, serving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stopping.set()
            web.should_exit = True
            await mllp.stop()
            await asyncio.gather(*loops, serving, return_exceptions=True)
            self._broker.close()
            self._records.close()
            self._log.info("gateway.stopped")
        serving.result()  # a web server that could not start ends the process with its error

    def _prepare(self) -> None:
        self._records.migrate()
        with self._records.write() as session:
            results.recover(session)
            results.without_destination(session, [item.name for item in self._settings.destinations])
        inbound.recover(self._records, self._settings)

    def _web(self) -> WebServer:
        return create_server(self._settings, create_app(self._settings, self._records, broker_ready=self._broker.ready))

    def _loops(self) -> list[Coroutine[Any, Any, None]]:
        dispatcher = Dispatcher(self._settings, self._records, self._broker)
        outboxes = [Outbox(item, self._settings, self._records) for item in self._settings.destinations]
        return [
            self._loop("dispatch", lambda: dispatcher.complete_studies() + dispatcher.send_waiting()),
            *(self._loop(f"outbox {box.destination.name}", box.work) for box in outboxes),
        ]

    async def _loop(self, name: str, work: Callable[[], int]) -> None:
        """Call ``work`` again and again, at once while there is some; an error is logged and does not end the loop."""
        pause = TICK_SECONDS
        while not self._stopping.is_set():
            try:
                busy = await asyncio.to_thread(work)
                pause = 0.0 if busy else TICK_SECONDS
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
