"""What a worker process holds: settings, records, its end of the broker, and the process that runs its models."""

from __future__ import annotations

import dataclasses
import os
import threading
from pathlib import Path
from typing import Any

from pydicom import Dataset
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from models import machine
from models.contracts import ModelCard
from models.running import opening
from models.running.answers import reason_of
from models.running.opening import Lists
from node import logs
from node.broker import Broker, broker_url
from node.decide.rules import base_name, pinned_version
from node.records import timeline
from node.records.engine import Records
from node.records.schema import Instance, Job, ModelRegistration, now
from node.settings import Settings
from workers.reading import inputs
from workers.reading.decoding import DecoderPool
from workers.reading.volume.load import read_headers
from workers.running import inferrers
from workers.running.ahead import Ahead
from workers.running.finishing import AtOnce, Finisher
from workers.running.inferrers import Inferrer
from workers.running.leases import Leases

SPOOL = "spool"
"""The spool's folder below the root (:mod:`node.storage`)."""

MAX_NAME = 64
"""Characters of a model's name and version in the records."""

KEPT_HEADERS = 4
"""Series whose headers are kept between inference and building, besides those of a batch."""


class Context:
    """One per worker process.

    As it is made, it does everything in turn and in its own process, as tests want it; :mod:`workers.app` gives it a
    process for its models, a thread that reads ahead, and one that finishes.

    Parameters
    ----------
    name
        The worker's, under which it holds leases.
    catalogue
        Where cards come from, and models that are run in this process.
    """

    def __init__(self, settings: Settings, name: str, catalogue: Lists | None = None) -> None:
        self.settings = settings
        self.name = name
        self.records = Records(settings.database_url)
        self.broker = Broker(broker_url(settings))
        self.log = logs.get("worker").bind(worker=name)
        self.catalogue: Lists = catalogue or opening.open_catalogue(self.root / inferrers.SITE_MODELS)
        self.inferrer: Inferrer = inferrers.Direct(self.catalogue, inferrers.options_of(settings))
        self.finisher: Finisher = AtOnce()
        self.ahead: Ahead | None = None
        self.decoders: DecoderPool | None = None
        self.leases = Leases(self.records, name, settings.workers.lease_seconds, self.log)
        self.reporting = threading.RLock()
        self.builds = False
        self._versions: dict[str, str] = {}
        self._headers: dict[str, tuple[Dataset, ...]] = {}
        self._headers_lock = threading.Lock()

    def close(self) -> None:
        """End what the worker started, after what it has in hand."""
        if self.ahead is not None:
            self.ahead.close()
        self.finisher.close()
        self.inferrer.close()
        if self.decoders is not None:
            self.decoders.close()
        self.leases.close()

    def register_models(self) -> None:
        """Tell the node what can run here, from the cards; what cannot is told with the reason."""
        names = (*self.catalogue.names(), *self._older())
        for name in names:
            row = self._registration(name)
            self._versions[name] = row.version
            with self.records.write() as session:
                session.merge(row)
        with self.records.write() as session:  # versions that no rule pins any more
            pinned = ModelRegistration.name.contains("@")
            session.execute(delete(ModelRegistration).where(pinned, ModelRegistration.name.not_in(names)))

    def _older(self) -> list[str]:
        """Return what rules pin beside the newest version of a model."""
        newest = {f"{name}@{self._version_of(name)}" for name in self.catalogue.names()}
        asked = [model for model in self.settings.asked_models if pinned_version(model)]
        return [model for model in asked if model not in newest and len(model) <= MAX_NAME and self._version_of(model)]

    def _version_of(self, model: str) -> str:
        try:
            return self.catalogue.card(model).version
        except Exception:  # told by its registration
            return ""

    def answered(self, model: str, card: ModelCard) -> None:
        """Tell the node where another model or version runs than was registered: one was imported meanwhile."""
        before = self._versions.get(model, "")
        if not self._versions or pinned_version(model) or before == card.version:
            return
        row = self._registration(model)
        self._versions[model] = row.version
        with self.records.write() as session:
            known = session.get(ModelRegistration, model)
            if known is None or known.version != row.version:  # another worker has not told it
                place = f"in place of {before}" if before else "for the first time"
                text = f"{base_name(model)} {card.version} runs {place}."
                timeline.add(session, "model.version", text)
            session.merge(row)

    def _registration(self, name: str) -> ModelRegistration:
        try:
            card = self.catalogue.card(name)
            reason = self.catalogue.unusable(name)
        except Exception as exc:
            card, reason = None, reason_of(exc)
        said: dict[str, Any] = dataclasses.asdict(card) if card is not None else {"title": name}
        if reason:
            self.log.error("model.unusable", model=name, reason=reason)
            said |= {"unusable": reason, "limits": [f"Not usable on {self.name}: {reason}."]}
        version = card.version if card is not None else ""
        return ModelRegistration(name=name, version=version, card=said, worker=self.name, seen_at=now())

    def card(self, model: str) -> ModelCard:
        """Return the card of a model as it is now."""
        return self.catalogue.card(model)

    def read(self, job: Job) -> inputs.Loaded:
        """Read the series of a job as the model wants it."""
        with self.records.read() as session:
            paths = self.paths(session, job)
        return inputs.read(paths, self.card(job.model).requirements, self.decoders)

    def keep_headers(self, job: str, headers: tuple[Dataset, ...]) -> None:
        """Remember the headers of a job's series until its results are built."""
        with self._headers_lock:
            self._headers[job] = headers
            while len(self._headers) > KEPT_HEADERS:
                del self._headers[next(iter(self._headers))]

    def headers(self, session: Session, job: Job) -> tuple[Dataset, ...]:
        """Return the headers of a job's series, in slice order: remembered, or read again."""
        with self._headers_lock:
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


def share_cores(settings: Settings) -> None:
    """Set what OpenMP reads when a library loads it, here and in the process for models; the environment goes first.

    Threads that wait sleep instead of spinning: a worker's processes share the cores with each other and with the rest
    of the node, and a thread that spins keeps the one from its core that it waits for.
    """
    threads = machine.threads_for(settings.workers.threads, settings.workers.processes)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
