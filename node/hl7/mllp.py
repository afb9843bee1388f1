"""The MLLP server and client. Framing is in :mod:`node.hl7.framing`, what messages mean in :mod:`node.hl7.inbound`."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from node import logs
from node.errors import DeliveryError, OverreadError
from node.hl7 import ack as acks
from node.hl7.ack import Ack
from node.hl7.framing import FrameDecoder, frame
from node.hl7.message import peek
from node.settings import Settings

READ_BYTES = 65536
HANDLER_THREADS = 4
"""Messages of different connections that are processed at once."""
LINGER_SECONDS = 2.0
"""How long bytes of a message that was refused as too long are still taken, so that its sender sees the answer."""
ACK_MAX_BYTES = 1 << 20
"""Longest acknowledgement that a client accepts."""

Handler = Callable[[bytes, str], bytes]
GarbageHandler = Callable[[int, str], None]


class MllpServer:
    """Take messages from many peers; each connection's messages are answered in order.

    Parameters
    ----------
    handler
        Called in a thread with the raw message and the peer's address; returns the acknowledgement. It is expected to
        answer errors itself; if it raises, the peer gets AE 207 and the connection lives on.
    oversize
        Called with the beginning of a message that is too long; its answer is sent before the connection is closed.
    garbage
        Called in a thread when a connection ends on which bytes came that belong to no finished frame.
    """

    def __init__(
        self,
        settings: Settings,
        handler: Handler,
        *,
        oversize: Handler | None = None,
        garbage: GarbageHandler | None = None,
    ) -> None:
        self.settings = settings.hl7
        self._handler = handler
        self._oversize = oversize
        self._garbage = garbage
        self._networks = [ipaddress.ip_network(peer, strict=False) for peer in self.settings.peers]
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._threads = ThreadPoolExecutor(HANDLER_THREADS, thread_name_prefix="hl7")
        self._log = logs.get("hl7")

    @property
    def port(self) -> int:
        """The port that is listened on (which the system chose where the configured one is 0)."""
        if self._server is None:
            raise OverreadError("the MLLP server is not started")
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen."""
        if not self.settings.peers:
            logs.get("hl7").warning("messages are taken from every address: hl7.peers is empty")
        host, port = self.settings.host, self.settings.port
        try:
            self._server = await asyncio.start_server(self._connected, host, port)
        except OSError as exc:
            raise OverreadError(f"cannot listen on {host}:{port} (HL7): {os.strerror(exc.errno or 0)}") from exc
        self._log.info("mllp.listening", host=self.settings.host, port=self.port)

    async def stop(self, timeout: float = 5.0) -> None:
        """Stop listening, let messages that are being processed be answered, close."""
        if self._server is None:
            return
        self._stopping = True
        self._server.close()
        for task in self._connections - self._busy:
            task.cancel()
        if self._connections:
            _, late = await asyncio.wait(self._connections, timeout=timeout)
            for task in late:
                task.cancel()
        await self._server.wait_closed()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._server = None

    def allows(self, host: str) -> bool:
        """Whether a peer at this address may connect; everyone may where no peers are configured."""
        address = ipaddress.ip_address(host.split("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return not self._networks or any((mapped or address) in network for network in self._networks)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  asyncio runs this callback as a task
        self._connections.add(task)
        host = str((writer.get_extra_info("peername") or ("0.0.0.0",))[0])  # noqa: S104
        decoder = FrameDecoder(self.settings.max_message_bytes)
        try:
            if self.allows(host):
                _tune(writer.get_extra_info("socket"))
                await self._converse(reader, writer, decoder, host, task)
            else:
                self._log.warning("mllp.peer_refused", peer=host)
        except TimeoutError:
            self._log.info("mllp.idle", peer=host)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            self._busy.discard(task)
            self._report_garbage(decoder, host)
            writer.close()

    async def _converse(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        decoder: FrameDecoder,
        host: str,
        task: asyncio.Task[None],
    ) -> None:
        """Read, process, answer, until the peer ends it. Only whole messages reset the idle clock."""
        loop = asyncio.get_running_loop()
        idle = self.settings.idle_seconds or None
        deadline = idle and loop.time() + idle
        while not self._stopping:
            async with asyncio.timeout_at(deadline):
                data = await reader.read(READ_BYTES)
            if not data:
                return
            for raw in decoder.feed(data):
                self._busy.add(task)
                answer = await self._answer(self._handler, raw, host)
                async with asyncio.timeout(idle):
                    writer.write(frame(answer))
                    await writer.drain()
                self._busy.discard(task)
                deadline = idle and loop.time() + idle
            if decoder.too_large is not None:
                await self._refuse_oversize(reader, writer, decoder.too_large, host)
                return

    async def _answer(self, handler: Handler, raw: bytes, host: str) -> bytes:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, handler, raw, host)
        except Exception as exc:  # a bug of ours must not take the other messages with it
            self._log.error("mllp.handler_failed", peer=host, error=exc)
            return acks.internal_error(raw, self.settings)

    async def _refuse_oversize(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes, host: str
    ) -> None:
        self._log.warning("mllp.too_large", peer=host)
        handler = self._oversize or self._too_long
        writer.write(frame(await self._answer(handler, head, host)))
        await writer.drain()
        writer.write_eof()
        async with asyncio.timeout(LINGER_SECONDS):
            while await reader.read(READ_BYTES):
                pass

    def _too_long(self, head: bytes, _host: str) -> bytes:
        return acks.refuse(peek(head), self.settings, acks.too_long(self.settings.max_message_bytes))

    def _report_garbage(self, decoder: FrameDecoder, host: str) -> None:
        count = decoder.garbage + decoder.pending
        if not count:
            return
        self._log.warning("mllp.garbage", peer=host, bytes=count)
        if self._garbage is not None and not self._stopping:
            self._threads.submit(self._garbage, count, host)


def _tune(connection: socket.socket | None) -> None:
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


class MllpClient:
    """A blocking sender over one connection, opened when it is first needed. Not shared between threads.

    Parameters
    ----------
    timeout
        Seconds for one message and its acknowledgement together, connecting included.
    """

    def __init__(self, host: str, port: int, timeout: float = 60.0) -> None:
        self.host = host
        self.port = port
        self.timeout = timeout
        self._socket: socket.socket | None = None
        self._decoder = FrameDecoder(ACK_MAX_BYTES)

    def __enter__(self) -> MllpClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def exchange(self, raw: bytes) -> Ack:
        """Send one message; return its acknowledgement (AA or CA, for this control id).

        Raises
        ------
        DeliveryError
            No connection, no answer in time, an answer that is none, or (:class:`~node.hl7.ack.AckRefused`) a refusal.
        """
        deadline = time.monotonic() + self.timeout
        try:
            answer = self._ask(raw, deadline)
            ack = acks.read(answer)
            acks.check(ack, peek(raw).control_id)
        except acks.AckRefused:
            raise
        except TimeoutError as exc:
            self.close()
            raise DeliveryError("the peer did not acknowledge in time") from exc
        except OSError as exc:
            self.close()
            raise DeliveryError(f"the connection failed: {exc.strerror or type(exc).__name__}") from exc
        except DeliveryError:
            self.close()  # what else comes on this connection belongs to nobody knows which message
            raise
        return ack

    def _ask(self, raw: bytes, deadline: float) -> bytes:
        if self._socket is None:
            self._socket = socket.create_connection((self.host, self.port), timeout=_left(deadline))
            self._decoder = FrameDecoder(ACK_MAX_BYTES)
            _tune(self._socket)
        self._socket.settimeout(_left(deadline))
        self._socket.sendall(frame(raw))
        while True:
            self._socket.settimeout(_left(deadline))
            data = self._socket.recv(READ_BYTES)
            if not data:
                raise DeliveryError("the peer closed the connection without an acknowledgement")
            if answers := self._decoder.feed(data):
                return answers[0]
            if self._decoder.too_large is not None:
                raise DeliveryError("the peer's answer is too long to be an acknowledgement")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def send(host: str, port: int, raw: bytes, timeout: float = 60.0) -> Ack:
    """Send one message over a connection of its own; see :meth:`MllpClient.exchange`."""
    with MllpClient(host, port, timeout) as client:
        return client.exchange(raw)
