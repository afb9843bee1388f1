"""A broker and a worker as a node runs them, and studies that wait for them; no gateway, that nothing else is timed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from sqlalchemy import func, select

from node.broker import INFER, Broker, Task, broker_url, embedded_command
from node.config import load
from node.records.engine import Records
from node.records.schema import Instance, Job, ModelRegistration, Patient, Series, Study
from node.records.states import JobState, StudyState
from node.settings import Settings
from node.simulator import studies

MODEL = "hippocampus"
PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class Crew:
    """What runs, and where its studies lie."""

    settings: Settings
    records: Records
    broker: Broker

    def add(self, seed: int) -> str:
        """Put a generated study into the spool and the records with a job that waits; returns the job's id."""
        made = studies.generate(seed)
        spool = self.settings.node.root / "spool"
        with self.records.write() as session:
            study = Study(uid=made.study_uid, patient=Patient(patient_id=f"P{seed}"), generation=1)
            study.state, study.calling_ae_title = StudyState.ANALYSING, "MR1"
            series = Series(uid=made.series_uid, study=study, modality="MR", body_part="BRAIN", number=1, tags={})
            for path in studies.write(made, spool):
                ds = dcmread(path, stop_before_pixels=True)
                series.instances.append(
                    Instance(
                        uid=ds.SOPInstanceUID, sop_class=ds.SOPClassUID, transfer_syntax="1.2.840.10008.1.2.1",
                        path=str(path.relative_to(spool)), size=path.stat().st_size, digest="xxh128:00",
                    )
                )  # fmt: skip
            job = Job(
                id=f"job-{seed}", study=study, series=series, model=MODEL, rule="r", input_digest="d",
                destinations=[], state=JobState.QUEUED, attempts=0, findings=[], warnings=[],
            )  # fmt: skip
            session.add(job)
        return f"job-{seed}"

    def series(self, job: str) -> list[Path]:
        """The files of a job's series."""
        with self.records.read() as session:
            query = select(Instance.path).join(Job, Job.series_fk == Instance.series_fk).where(Job.id == job)
            return [self.settings.node.root / "spool" / path for path in session.scalars(query)]

    def run(self, jobs: Sequence[str]) -> tuple[float, float]:
        """Queue jobs at once; returns seconds until all are inferred, and until all results are built."""
        began = time.perf_counter()
        for job in jobs:
            self.broker.send(Task(INFER, job, 0))
        inferred = self._until(jobs, (JobState.INFERRED, JobState.DONE)) - began
        return inferred, self._until(jobs, (JobState.DONE,)) - began

    def _until(self, jobs: Sequence[str], states: tuple[JobState, ...]) -> float:
        deadline = time.monotonic() + PATIENCE_SECONDS
        query = select(func.count(Job.id)).where(Job.id.in_(jobs), Job.state.in_(states))
        while time.monotonic() < deadline:
            with self.records.read() as session:
                if session.scalar(query) == len(jobs):
                    return time.perf_counter()
            time.sleep(0.02)
        raise TimeoutError("the worker did not get through in time")


@contextmanager
def crew(folder: Path) -> Iterator[Crew]:
    """Run a broker and one worker until the block ends."""
    config = folder / "overread.toml"
    config.write_text(
        f"[node]\nroot = {json.dumps(str(folder / 'data'))}\n"
        f'[[destinations]]\nname = "out"\nkind = "folder"\npath = {json.dumps(str(folder / "out"))}\n',
        encoding="utf-8",
    )
    settings = load(config)
    records = Records(settings.database_url)
    records.migrate()
    with (
        (folder / "worker.log").open("wb") as log,
        _process(embedded_command(settings.node.root), log.fileno()),
        _process([sys.executable, "-m", "node", "worker", "--config", str(config)], log.fileno()),
    ):
        broker = Broker(broker_url(settings))
        found = Crew(settings, records, broker)
        _await_worker(found, folder / "worker.log")
        yield found
        broker.close()
    records.close()


@contextmanager
def _process(command: Sequence[str], log: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def _await_worker(found: Crew, log: Path) -> None:
    """Wait until a worker has registered and the broker answers."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with found.records.read() as session:
            if session.scalar(select(func.count(ModelRegistration.name))) and found.broker.ready():
                return
        time.sleep(0.1)
    raise TimeoutError(log.read_text(encoding="utf-8", errors="replace")[-2000:])
