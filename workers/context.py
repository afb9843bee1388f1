"""What a worker process holds: settings, records, its end of the broker, and the models that it has loaded."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from models import catalog
from models.contracts import Model
from models.runtime import set_threads
from node import logs
from node.broker import Broker, broker_url
from node.records import jobs
from node.records.engine import Records
from node.records.schema import Instance, Job, ModelRegistration, now
from node.settings import Settings
from workers.load import read_headers

SPOOL = "spool"
"""The spool's folder below the root (:mod:`node.storage`)."""

KEPT_HEADERS = 4
"""Series whose headers are kept between inference and building."""


class Context:
    """One per worker process."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.settings = settings
        self.name = name
        self.records = Records(settings.database_url)
        self.broker = Broker(broker_url(settings))
        self.log = logs.get("worker").bind(worker=name)
        if settings.workers.threads:
            set_threads(settings.workers.threads)
        self._models: dict[str, Model] = {}
        self._headers: dict[str, tuple[Dataset, ...]] = {}

    def model(self, name: str) -> Model:
        """Return a model, loaded once and kept."""
        if name not in self._models:
            self._models[name] = catalog.load(name, self.settings.workers.device)
        return self._models[name]

    def register_models(self) -> None:
        """Load every model of the catalogue and tell the node what can run here."""
        for name in catalog.names():
            card = self.model(name).card
            row = ModelRegistration(
                name=name, version=card.version, card=dataclasses.asdict(card), worker=self.name, seen_at=now()
            )
            with self.records.write() as session:
                session.merge(row)

    def keep_headers(self, job: str, headers: tuple[Dataset, ...]) -> None:
        """Remember the headers of a job's series until its results are built."""
        self._headers[job] = headers
        while len(self._headers) > KEPT_HEADERS:
            del self._headers[next(iter(self._headers))]

    def headers(self, session: Session, job: Job) -> tuple[Dataset, ...]:
        """Return the headers of a job's series, in slice order: remembered, or read again."""
        kept = self._headers.pop(job.id, None)
        return read_headers(self.paths(session, job)) if kept is None else kept

    def paths(self, session: Session, job: Job) -> list[Path]:
        """Return the files of a job's series."""
        return [path for _, path in self.files(session, job)]

    def files(self, session: Session, job: Job) -> list[tuple[str, Path]]:
        """Return SOP Instance UID and file of each instance of a job's series."""
        query = select(Instance.uid, Instance.path).where(Instance.series_fk == job.series_fk).order_by(Instance.id)
        return [(uid, self.root / SPOOL / path) for uid, path in session.execute(query)]

    @property
    def root(self) -> Path:
        """The node's root."""
        return self.settings.node.root

    @contextmanager
    def lease(self, job: str, worker: str) -> Iterator[None]:
        """Keep a job's lease alive while the body runs; a worker that is killed stops renewing."""
        seconds = self.settings.workers.lease_seconds
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(seconds / 3):
                try:
                    with self.records.write() as session:
                        if not jobs.renew(session, job, worker, seconds):
                            return
                except Exception as exc:
                    self.log.warning("lease.not_renewed", job=job, error=exc)

        thread = threading.Thread(target=renew, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
