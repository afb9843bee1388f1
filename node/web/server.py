"""The HTTP server in somebody else's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from node.settings import Settings

DRAIN_SECONDS = 3
"""What requests under way get after the stop; open streams end at once."""


class WebServer(uvicorn.Server):
    """A uvicorn server that ends the live streams before it waits for connections to close.

    Run ``await server.serve()`` in the process's loop; stop it with ``server.should_exit = True``. Signals are the
    business of the process, so this server takes none.
    """

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then shut down."""
        self._stopping.set()
        await super().shutdown(sockets)


def create_server(settings: Settings, app: FastAPI) -> WebServer:
    """Return the server for the configured address. No access log: the timeline says what happens to studies."""
    config = uvicorn.Config(
        app,
        host=settings.web.host,
        port=settings.web.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        limit_concurrency=500,
        h11_max_incomplete_event_size=64 << 10,
    )
    return WebServer(config, app.state.stopping)
