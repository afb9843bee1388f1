"""A worker with made-up models, and jobs on made-up series in its records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sqlalchemy import select

from models.contracts import Finding, InputDeclined, Model, ModelCard, Prediction, Source, Volume, expect
from models.running.options import RunOptions
from node.records import jobs
from node.records.schema import Event, Instance, Job
from node.records.states import JobState, StudyState
from node.settings import NodeSection, Settings
from tests import factories
from tests.stores import fill
from tests.workers.running.shelf import Shelf
from tests.workers.synthetic import CARD, HIPPOCAMPUS, Phantom, single_frames, write
from workers.context import SPOOL, Context
from workers.running.inferrers import Direct

BAD, SHORT = 13, 4
"""Slices of the series on which the model fails, and on which it declines."""


class Counting:
    """A model that says how many voxels it saw; takes several at once."""

    batch = 4

    def __init__(self, card: ModelCard = CARD) -> None:
        self.card = card
        self.calls: list[int] = []

    def check(self, source: Source) -> None:
        if expect(source, Volume).array.shape[0] == SHORT:
            raise InputDeclined("The series is too short.")

    def predict(self, source: Source) -> Prediction:
        return self.predict_many([source])[0]

    def predict_many(self, sources: Sequence[Source]) -> list[Prediction]:
        self.calls.append(len(sources))
        return [self._say(expect(source, Volume)) for source in sources]

    def _say(self, volume: Volume) -> Prediction:
        if volume.array.shape[0] == BAD:
            raise ValueError("Doe^Jane")
        return Prediction((Finding("voxels", HIPPOCAMPUS, text=str(volume.array.size)),))


class Batching(Direct):
    """Runs models in this process, four at once unless it is told otherwise."""

    at_once = 4

    def batch(self, model: str) -> int:
        return self.at_once


class Desk:
    """One worker, and what is asked of it."""

    def __init__(self, root: Path, **models: Model) -> None:
        shelf = Shelf(**models)
        self.context = Context(Settings(node=NodeSection(root=root)), "worker", shelf)
        self.inferrer = Batching(shelf, RunOptions(device="cpu", reserve_bytes=0))
        self.context.inferrer = self.inferrer
        self.sent: list[str] = []
        self.context.broker.send = lambda task: self.sent.append(task.id)  # type: ignore[method-assign]
        self.records = fill(self.context.records)

    def close(self) -> None:
        self.context.close()
        self.records.close()

    def job(self, number: int, slices: int = 6, model: str = "counting", priority: str = "ROUTINE") -> str:
        """Queue a job on a series of its own; returns its id."""
        paths = write(
            self.context.root / SPOOL / str(number), single_frames(replace(Phantom(), shape=(slices, 12, 10)))
        )
        uid = f"1.2.9.{number}"
        with self.records.write() as session:
            study = factories.study(session, uid=uid, state=StudyState.ANALYSING)
            instances = study.series[0].instances
            instances[0].path, instances[0].size = f"{number}/{paths[0].name}", paths[0].stat().st_size
            instances += [
                Instance(
                    uid=f"{uid}.9.{index}", sop_class="1.2.840.10008.5.1.4.1.1.4", size=path.stat().st_size,
                    transfer_syntax="1.2.840.10008.1.2.1", path=f"{number}/{path.name}", digest=f"xxh128:{index}",
                )
                for index, path in enumerate(paths[1:])
            ]  # fmt: skip
            factories.job(session, study, id=f"job-{number}", model=model, priority=priority)
        return f"job-{number}"

    def file(self, name: str) -> Path:
        """A file of a job's series."""
        with self.records.read() as session:
            return self.context.paths(session, session.get_one(Job, name))[0]

    def row(self, name: str) -> Job:
        with self.records.read() as session:
            return session.get_one(Job, name)

    def state(self, name: str) -> JobState:
        return self.row(name).state

    def lines(self, kind: str) -> list[str]:
        with self.records.read() as session:
            return list(session.scalars(select(Event.text).where(Event.kind == kind).order_by(Event.id)))

    def claimed_by(self, worker: str, name: str) -> None:
        """Let another worker have a job."""
        with self.records.write() as session:
            assert jobs.claim(session, name, worker, 60) is not None
