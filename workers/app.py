"""The Celery application of a worker: the tasks of :mod:`workers.tasks` under their names, and their process.

One process takes one task at a time in its main thread (Celery's solo pool). Beside it: the process that runs the
models (:mod:`models.running`), a thread that reads what comes next, one that finishes what was inferred, and one that
renews leases. More workers are more of all that.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Mapping

from celery import Celery
from celery.signals import worker_ready, worker_shutdown

from models import machine
from models.running.process import ModelProcess
from node.broker import ANALYSE, BUILD, CPU, GPU, INFER, broker_url, celery_app
from node.settings import Settings
from workers import tasks
from workers.context import Context, share_cores
from workers.reading.decoding import DecoderPool
from workers.running.ahead import Ahead
from workers.running.finishing import InBackground
from workers.running.inferrers import Isolated, options_of

TASKS: Mapping[str, Callable[[Context, str], None]] = {
    INFER: tasks.infer,
    BUILD: tasks.build,
    ANALYSE: tasks.analyse,
}
QUEUES = (GPU, CPU)


def create_app(context: Context) -> Celery:
    """Return the application with every task bound to ``context``."""
    app = celery_app(broker_url(context.settings))
    for name, function in TASKS.items():
        app.task(_bound(context, function), name=name)
    return app


def _bound(context: Context, function: Callable[[Context, str], None]) -> Callable[[str], None]:
    def task(key: str) -> None:
        try:
            function(context, key)
        except Exception as exc:  # Celery would print its text, which may quote a patient; the dispatcher asks again
            context.log.error("task.failed", task=function.__name__, key=key, error=exc)

    return task


def run_worker(settings: Settings, name: str, queues: tuple[str, ...] = QUEUES) -> None:
    """Run one worker until SIGTERM, which lets the present task end."""
    share_cores(settings)
    # A restarted worker is another one: its predecessor's leases must not look like its own.
    context = Context(settings, f"{name}@{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex[:6]}")
    if GPU in queues:
        set_out(context, name)
    context.builds = CPU in queues
    app = create_app(context)

    @worker_ready.connect(weak=False)  # type: ignore[misc,untyped-decorator,unused-ignore]
    def ready(**_: object) -> None:
        context.log.info("worker.started", queue=",".join(queues))

    @worker_shutdown.connect(weak=False)  # type: ignore[misc,untyped-decorator,unused-ignore]
    def shutdown(**_: object) -> None:
        context.close()
        context.log.info("worker.stopped")

    context.records.migrate()
    if GPU in queues:
        context.register_models()
    options = ["-P", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "WARNING"]
    app.worker_main(["--quiet", "worker", "-Q", ",".join(queues), "-n", f"{name}@%h", *options])


def set_out(context: Context, name: str) -> None:
    """Give a worker its process for models and the threads that keep that one busy.

    Called in the main thread, which lasts as long as the worker.
    """
    process = ModelProcess(options_of(context.settings, name), context.settings.workers.timeout_seconds)
    context.inferrer = Isolated(process, context.log)
    context.inferrer.start()
    context.finisher = InBackground(context.log)
    context.decoders = DecoderPool(machine.threads_for(0, context.settings.workers.processes))
    context.ahead = Ahead(context.read)
