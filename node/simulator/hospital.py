"""The whole hospital in a box: modality, PACS and RIS around a real node in processes of its own, in one folder."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from node.errors import OverreadError
from node.processes import die_with_parent
from node.records import timeline
from node.records.engine import Records
from node.records.notes import notes_for_study
from node.records.schema import Delivery, Fact, ModelRegistration, Result, Study
from node.records.states import TAKEN, StudyState
from node.simulator.modality import send_study
from node.simulator.pacs import PacsSimulator
from node.simulator.ris import Person, RisSimulator, note, order, send
from node.simulator.studies import GeneratedStudy, generate

HOST = "127.0.0.1"
CONFIG = """\
# Written by `overread demo`: a node between a simulated PACS and a simulated RIS.
[node]
root = {root}
[dicom]
host = "127.0.0.1"
port = {dicom}
journal_bytes = 16777216
[hl7]
host = "127.0.0.1"
port = {hl7}
[web]
port = {web}
[completeness]
release_quiet_seconds = 1.0
[[destinations]]
name = "pacs"
kind = "dicom"
host = "127.0.0.1"
port = {pacs}
ae_title = "SIM_PACS"
send = ["seg", "sr", "pm", "kos", "gsps", "sc", "pdf"]
[[destinations]]
name = "ris"
kind = "mllp"
host = "127.0.0.1"
port = {ris}
"""
STEPS = {
    StudyState.RECEIVING: (1, "waiting for the study to be complete"),
    StudyState.ANALYSING: (2, "analysing, merging with the note, building SEG, SR and ORU"),
    StudyState.DONE: (3, "delivering"),
}
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Outcome:
    """What came of the study; ``problem`` is "" if all was delivered."""

    problem: str
    timeline: tuple[tuple[float, str], ...] = ()
    findings: tuple[tuple[str, str], ...] = ()
    places: tuple[tuple[str, Path], ...] = ()
    message: tuple[str, ...] = field(default=())


class Hospital:
    """A node with its surroundings; everything is written below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.root = self.folder / "data"
        self.log = self.folder / "node.log"
        self._at = dt.datetime.now().replace(microsecond=0)
        self._accession = f"A{self._at:%y%m%d%H%M%S}"
        self._person = Person()
        self._study: GeneratedStudy | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._web_port = 0
        self._ports: dict[str, int] = {}

    def __enter__(self) -> Hospital:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._pacs = PacsSimulator(self.folder / "pacs", "SIM_PACS").start()
        self._ris = RisSimulator(self.folder / "ris").start()
        self._records = Records(f"sqlite:///{self.root / 'overread.sqlite'}")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._records.close()
        self._pacs.stop()
        self._ris.stop()

    @property
    def web(self) -> str:
        """Address of the worklist."""
        return f"http://{HOST}:{self._web_port}/"

    def start_node(self, deadline: float) -> None:
        """Start `overread serve` and wait until it is ready and a worker has told its models."""
        wanted = {"dicom": 11112, "hl7": 2575, "web": 8080}
        self._ports = {name: _port(number) for name, number in wanted.items()}
        self._web_port = self._ports["web"]
        text = CONFIG.format(root=json.dumps(str(self.root)), pacs=self._pacs.port, ris=self._ris.port, **self._ports)
        config = self.folder / "overread.toml"
        config.write_text(text, encoding="utf-8")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OVERREAD_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "node", "serve", "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )
        while not self._ready():
            if self._process.poll() is not None:
                raise OverreadError(f"the node did not start: see {self.log}")
            if time.monotonic() > deadline:
                raise OverreadError(f"the node was not ready in time: see {self.log}")
            time.sleep(POLL_SECONDS)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.web}readyz", timeout=2):  # noqa: S310  our own loopback address
                pass
        except OSError:
            return False
        with self._records.read() as session:
            return session.scalar(select(func.count()).select_from(ModelRegistration)) != 0

    def send_order(self) -> None:
        """Let the RIS send its order."""
        self._send(order(self._person, accession=self._accession, priority="ASAP"))

    def send_note(self) -> None:
        """Let the RIS send a clinical note on the same examination."""
        self._send(note(self._person, document_number=f"N{self._accession}", accession=self._accession))

    def _send(self, raw: bytes) -> None:
        send(HOST, self._ports["hl7"], raw, 10.0)

    def make_study(self) -> list[str]:
        """Generate the MR study that the order asked for; returns its SOP Instance UIDs."""
        self._study = generate(1, person=self._person, accession_number=self._accession, at=self._at)
        return [str(ds.SOPInstanceUID) for ds in self._study.datasets]

    def send_study(self, advance: Callable[[], object]) -> None:
        """Let the modality send the study.

        Raises
        ------
        DeliveryError
            If the node does not take an instance.
        """
        assert self._study is not None  # noqa: S101  make_study comes first
        folder = self.folder / "modality"
        for outcome in send_study(self._study, folder, HOST, self._ports["dicom"], called_ae="OVERREAD"):
            outcome.raise_for_status()
            advance()

    def follow(self, deadline: float) -> Iterator[tuple[int, str]]:
        """Give the step (of 5) that the study has reached, until all is accepted, given up, or the time is over."""
        while time.monotonic() < deadline:
            with self._records.read() as session:
                study = self._row(session)
                if study is not None and study.state not in STEPS:
                    return
                step = STEPS[StudyState.RECEIVING if study is None else study.state]
                if study is not None and step[0] == 3:
                    open_ = [row for row in _deliveries(study) if row.state not in TAKEN]
                    if not open_:
                        yield 5, "all accepted by their destinations"
                        return
                    step = (4, f"delivering, {len(open_)} left")
            yield step
            time.sleep(POLL_SECONDS)

    def outcome(self) -> Outcome:
        """Tell what came of the study."""
        with self._records.read() as session:
            study = self._row(session)
            if study is None:
                return Outcome("the node has no record of the study")
            oru = next((row for row in reversed(_results(study)) if row.kind == "oru"), None)
            got = None if oru is None else self._got(oru.uid)
            return Outcome(
                problem=_problem(study),
                timeline=tuple(_timeline(session, study)),
                findings=tuple(_findings(session, study)),
                places=(*self._places(study), *([("ORU^R01 at the RIS", got)] if got else [])),
                message=_segments(got) if got else (),
            )

    def _row(self, session: Session) -> Study | None:
        uid = "" if self._study is None else self._study.study_uid
        return session.scalars(select(Study).where(Study.uid == uid)).first()

    def _places(self, study: Study) -> Iterator[tuple[str, Path]]:
        for result in _results(study):
            if result.kind != "oru" and not result.profile:
                yield f"{result.kind.upper()} in the PACS", self._pacs.folder / study.uid / f"{result.uid}.dcm"

    def _got(self, control_id: str) -> Path | None:
        """Return the file in which the RIS keeps the message with this control id."""
        return next((path for path in self._ris.received if f"|{control_id}|".encode() in path.read_bytes()), None)


def _segments(path: Path) -> tuple[str, ...]:
    text = path.read_bytes().decode("utf-8", errors="replace")  # read_text would turn the carriage returns
    return tuple(line for line in text.split("\r") if line)


def _results(study: Study) -> list[Result]:
    return [result for job in study.jobs for result in job.results]


def _deliveries(study: Study) -> list[Delivery]:
    return [delivery for result in _results(study) for delivery in result.deliveries]


def _problem(study: Study) -> str:
    if study.state is not StudyState.DONE:
        return f"the study is {study.state.value}: {study.reason or 'see its timeline'}"
    kinds = {result.kind for result in _results(study)}
    if missing := {"seg", "sr", "oru"} - kinds:
        return f"not built: {', '.join(sorted(missing))}"
    late = [row for row in _deliveries(study) if row.state not in TAKEN]
    return "; ".join(f"{row.result.kind} to {row.destination}: {row.state.value} {row.reason}" for row in late)


def _timeline(session: Session, study: Study) -> Iterator[tuple[float, str]]:
    lines = timeline.of_study(session, study.id)
    for line in lines:
        yield (line.at - lines[0].at).total_seconds(), line.text


def _findings(session: Session, study: Study) -> Iterator[tuple[str, str]]:
    for job in study.jobs:
        for finding in job.findings:
            yield f"image, {job.model} {job.model_version}", finding["text"]
        for warning in job.warnings:
            yield "image, limits", warning
    for row in notes_for_study(session, study):
        for fact in row.facts:
            yield "note", f"{fact.surface}: {_said(fact)} ({fact.code_meaning}, {fact.section})"


def _said(fact: Fact) -> str:
    words = [word for word in ("negated", "uncertain", "historical", "hypothetical") if getattr(fact, word)]
    if fact.experiencer != "patient":
        words.append(fact.experiencer)
    return ", ".join(words) or "present"


def _port(wanted: int) -> int:
    """Return the port if nobody has it, else a free one."""
    for number in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, number))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OverreadError(f"no port is free on {HOST}")
