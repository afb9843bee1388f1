"""The listener process: the HL7 port. It takes messages in and answers them; taking them over is the gateway's."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sqlite3
import ssl
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from node import logs
from node.errors import ConfigError, Hl7InputError, OverreadError
from node.hl7 import charset
from node.hl7.awaiting import Awaiting
from node.hl7.connection import Connection, Port
from node.hl7.inbox import FILE
from node.hl7.keeping import Keeper, Told
from node.hl7.limits import Limits
from node.hl7.remarks import Remarks
from node.hl7.tls import server_context
from node.processes import allow_descriptors
from node.settings import Hl7Section, Settings

BACKLOG = 128
SEND_BYTES = 128 << 10
"""Of answers that a sender does not read, what the system holds for it."""
HANDSHAKE_SECONDS = 10.0
"""How long a TLS handshake may take."""
SWEEP_SECONDS = 0.5
"""How often connections are looked at that may be overdue."""
ACCEPT_PAUSE_SECONDS = 0.2
"""Pause where the system has no descriptor for another connection."""
SWITCH_SECONDS = 0.001
"""How long a thread computes while another one waits (Python's default: 5 ms). The writer must not wait for parsing."""
GOODBYE_SECONDS = 2.0
"""How long the end of a TLS connection waits for the peer's."""
THREADS = 2
"""Long messages that are read at once."""


class Listener:
    """Serves the HL7 port of one process.

    Parameters
    ----------
    settings
        ``hl7`` says where and whom; messages are kept under ``node.root``.

    Raises
    ------
    ConfigError
        A character set is not supported, or a file of ``hl7.tls`` cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        check_charsets(settings.hl7)
        self._context = server_context(settings.hl7.tls)
        self._socket: socket.socket | None = None
        self._connections: set[Connection] = set()
        self._hands: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self._limits = Limits(settings.hl7)
        self._port: Port | None = None
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="hl7")
        self._log = logs.get("hl7")

    @property
    def port(self) -> int:
        """The port that is listened on (which the system chose where the configured one is 0)."""
        if self._socket is None:
            raise OverreadError("the HL7 listener is not started")
        return int(self._socket.getsockname()[1])

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._limits.connections

    async def start(self) -> None:
        """Open the inbox and listen.

        Raises
        ------
        OverreadError
            The port is taken, or the inbox cannot be opened.
        """
        section, root = self._settings.hl7, self._settings.node.root
        if not section.peers:
            self._log.warning("messages are taken from every address: hl7.peers is empty")
        self._loop = asyncio.get_running_loop()
        self._socket = _listen(section.host, section.port)
        keeper = Keeper(root / FILE, self._report)
        try:
            keeper.start()
        except (sqlite3.Error, OSError) as exc:
            self._socket.close()
            raise OverreadError(f"{root / FILE} cannot be opened: {type(exc).__name__}") from exc
        url = self._settings.database_url
        awaiting = Awaiting(root / FILE, url, section)
        self._port = Port(section, keeper, awaiting, Remarks(url), self._limits, self._threads, self._lost)
        self._tasks = [asyncio.create_task(self._accept(self._socket)), asyncio.create_task(self._sweep())]
        self._log.info("mllp.listening", host=section.host, port=self.port)

    async def stop(self, timeout: float = 5.0) -> None:
        """Stop listening, let messages that are being kept be answered, close."""
        if self._socket is None or self._port is None:
            return
        for task in [*self._tasks, *self._hands]:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._hands, return_exceptions=True)
        self._socket.close()
        for connection in list(self._connections):
            connection.end()
        await self._until_closed(timeout)
        for connection in list(self._connections):
            connection.abort()
        await self._until_closed(1.0)
        for part in (self._port.awaiting, self._port.keeper, self._port.remarks):
            await asyncio.to_thread(part.stop)
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._socket = None

    async def _until_closed(self, timeout: float) -> None:
        deadline = self._loop.time() + timeout
        while self._connections and (left := deadline - self._loop.time()) > 0:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, address = await self._loop.sock_accept(listening)
            except OSError as exc:  # no descriptor is left, or the peer is gone again
                self._log.error("mllp.not_accepted", error=exc)
                await asyncio.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            peer = str(address[0])
            if (refusal := self._refusal(peer)) is not None:
                connection.close()
                self._remark(refusal, peer)
                continue
            task = asyncio.create_task(self._open(connection, peer))
            self._hands.add(task)
            task.add_done_callback(self._hands.discard)

    def _refusal(self, peer: str) -> str | None:
        if not self._limits.allows(peer):
            return "message.stranger"
        return None if self._limits.enter(peer) else "message.crowded"

    async def _open(self, connection: socket.socket, peer: str) -> None:
        """Shake hands where the port speaks TLS, and serve."""
        assert self._port is not None  # noqa: S101  nothing is accepted before `start` has made it
        protocol = Connection(self._port, peer, self._loop)
        tls = self._context is not None
        self._connections.add(protocol)
        try:
            _tune(connection)
            await self._loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if tls else None,
                ssl_shutdown_timeout=GOODBYE_SECONDS if tls else None,
            )
        except (OSError, ssl.SSLError, asyncio.CancelledError) as exc:
            connection.close()
            self._lost(protocol)
            if isinstance(exc, asyncio.CancelledError):
                raise
            if tls:
                self._remark("message.handshake", peer)

    async def _sweep(self) -> None:
        """Close what is overdue."""
        section = self._settings.hl7
        spans = [seconds for seconds in (section.idle_seconds, section.read_seconds) if seconds]
        pause = max(0.02, min(SWEEP_SECONDS, *(seconds / 4 for seconds in spans)))
        while True:
            await asyncio.sleep(pause)
            now = self._loop.time()
            for connection in list(self._connections):
                if (why := connection.overdue(now)) is not None:
                    if why.startswith("message."):
                        self._remark(why, connection.peer)
                    connection.abort()

    def _remark(self, kind: str, peer: str) -> None:
        if self._port is not None:
            self._port.remarks.add(kind, peer)

    def _lost(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.discard(connection)
            self._limits.leave(connection.peer)
            self._changed.set()

    def _report(self, batch: Sequence[tuple[Told, int | None]]) -> None:
        """Have a batch's senders told, on the loop's thread."""
        self._loop.call_soon_threadsafe(_tell, batch)


def _tell(batch: Sequence[tuple[Told, int | None]]) -> None:
    for told, number in batch:
        try:
            told(number)
        except Exception as exc:  # a bug: the others are to be told
            logs.get("hl7").error("message.not_answered", error=exc)


def check_charsets(section: Hl7Section) -> None:
    """Refuse a default that every message would be refused for.

    Raises
    ------
    ConfigError
        It names the key.
    """
    for key, name in (
        ("hl7.charset", section.charset),
        *((f"hl7.charsets.{k}", v) for k, v in section.charsets.items()),
    ):
        try:
            charset.codec_name(name)
        except Hl7InputError as exc:
            raise ConfigError(f"{key}: {name!r} is no supported character set; see docs/hl7.md") from exc


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as exc:
        raise OverreadError(f"cannot listen on {host}:{port} (HL7): {os.strerror(exc.errno or 0)}") from exc
    listening.setblocking(False)
    return listening


def _tune(connection: socket.socket) -> None:
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)


def _failed(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error of a connection: its class, where asyncio would print its text."""
    logs.get("hl7").error("connection.failed", error=context.get("exception"))


def run_listener(settings: Settings) -> None:
    """Serve the HL7 port until SIGTERM or SIGINT; then let messages be answered, and return."""
    allow_descriptors()
    sys.setswitchinterval(SWITCH_SECONDS)

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_failed)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        listener = Listener(settings)
        await listener.start()
        gc.collect()
        gc.freeze()
        await stop.wait()
        await listener.stop(settings.node.stop_seconds / 2)
        logs.get("hl7").info("stopped")

    asyncio.run(main())
