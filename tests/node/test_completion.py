from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from node.completion import Completion
from node.dicom.instance import InstanceHeader
from node.dicom.query import QueryError
from node.dicom.sender import send
from node.dispatch import Dispatcher
from node.inquiry import Ask, Inquiry
from node.records import evidence, expectations, procedures, sources
from node.records.engine import Records
from node.records.schema import Event, Instance, Shortfall, Study, now
from node.records.states import ProcedureStepState, StudyState
from node.records.studies import index
from node.settings import Settings
from tests import factories
from tests.node.dicom.objects import outgoing_image
from tests.node.test_dispatch import MemoryBroker
from tests.peers import Orthanc, eventually

UID = "1.2.3"


class Bench:
    """A gateway's judging, over a record store into which a test puts what arrives."""

    def __init__(self, records: Records, root: Path, ask: Ask | None = None, **completeness: Any) -> None:
        peers = [{"ae_title": "MR1", "host": "127.0.0.1", "port": 104, "query": True}] if ask else []
        self.settings = Settings.model_validate(
            {"node": {"root": root}, "dicom": {"peers": peers}, "completeness": completeness}
        )
        self.records = records
        self.late = dt.timedelta()
        self.completion = Completion(
            self.settings, records, Inquiry(self.settings, ask), clock=lambda: now() + self.late
        )
        self.dispatcher = Dispatcher(self.settings, records, MemoryBroker(), self.completion)  # type: ignore[arg-type]

    def arrive(self, seconds_ago: float = 60.0, count: int = 1, first: int = 1, pause: float = 0.0) -> None:
        """Let instances arrive, the last one so long ago."""
        end = now() + self.late - dt.timedelta(seconds=seconds_ago)
        with self.records.write() as session:
            for number in range(first, first + count):
                at = end - dt.timedelta(seconds=pause * (first + count - 1 - number))
                index(session, header(number, at))

    def step(self, count: int, *, final: bool = True) -> None:
        """Let the scanner's procedure step name so many instances."""
        with self.records.write() as session:
            step = procedures.find(session, "9.1") or procedures.create(
                session, "9.1", [UID], calling="MR1", modality="MR"
            )
            assert step is not None
            state = ProcedureStepState.COMPLETED if final else ProcedureStepState.IN_PROGRESS
            names = [f"{UID}.1.{number}" for number in range(1, count + 1)]
            procedures.update(session, step, procedures.Change(state, names))

    def judge(self) -> Study:
        """Let the gateway look once; returns the study."""
        self.dispatcher.complete_studies()
        with self.records.read() as session:
            return session.scalars(select(Study)).one()

    def lines(self, kind: str) -> list[tuple[str, str]]:
        with self.records.read() as session:
            found = session.scalars(select(Event).where(Event.kind == kind).order_by(Event.id))
            return [(event.level, event.text) for event in found]

    def shortfall(self) -> Shortfall | None:
        with self.records.read() as session:
            return session.scalars(select(Shortfall)).one_or_none()


def header(number: int, at: dt.datetime) -> InstanceHeader:
    return InstanceHeader(
        uid=f"{UID}.1.{number}", sop_class="1.2.840.10008.5.1.4.1.1.4", transfer_syntax="1.2.840.10008.1.2.1",
        study_uid=UID, series_uid=f"{UID}.1", path=f"{number}", size=1, digest=f"x:{number}", received_at=at,
        calling_ae_title="MR1", patient_id="P1", modality="MR", body_part="BRAIN",
    )  # fmt: skip


@pytest.fixture
def bench(records: Records, tmp_path: Path) -> Callable[..., Bench]:
    return lambda ask=None, **completeness: Bench(records, tmp_path, ask, **completeness)


def test_the_timeline_says_all_the_evidence_that_counted(bench: Callable[..., Bench]) -> None:
    node = bench()
    node.arrive(1.0, count=12)
    node.step(12)
    assert node.judge().state is StudyState.RECEIVING  # the step ended just now
    node.late = dt.timedelta(seconds=0.6)
    study = eventually("it is judged", lambda: (row := node.judge()).state is StudyState.ANALYSING and row, 5)
    assert study.reason == "MPPS COMPLETED, 12 of 12 instances"
    assert node.lines("study.complete") == [
        ("info", "Complete: MPPS COMPLETED, 12 of 12 instances; 12 instances in 1 series.")
    ]


def test_a_quiet_study_that_lacks_instances_is_not_whole(bench: Callable[..., Bench]) -> None:
    node = bench()
    node.arrive(300, count=10)
    node.step(12)
    assert node.judge().state is StudyState.RECEIVING
    assert node.shortfall() is None


def test_an_incomplete_study_is_analysed_as_it_is_with_an_alarm(bench: Callable[..., Bench]) -> None:
    node = bench()
    node.arrive(601, count=10)
    node.step(12)
    study = node.judge()
    assert study.state is StudyState.ANALYSING
    assert study.reason == ("incomplete, analysed as it is: MPPS COMPLETED, 10 of 12 instances; no instance for 600 s")
    [(level, text)] = node.lines("study.incomplete")
    assert level == "error"
    assert "10 of 12 instances" in text
    assert node.lines("study.complete") == [("warning", "What is here is analysed as it is: 10 instances in 1 series.")]
    short = node.shortfall()
    assert short is not None
    assert (short.received, short.expected) == (10, 12)


def test_the_rest_reopens_an_incomplete_study_and_makes_it_good(bench: Callable[..., Bench]) -> None:
    node = bench(incomplete="wait")
    node.arrive(601, count=10)
    node.step(12)
    study = node.judge()
    assert (study.state, study.completed_at) == (StudyState.INCOMPLETE, None)
    assert study.reason.startswith("incomplete: MPPS COMPLETED, 10 of 12")
    assert [node.judge().state for _ in range(3)] == [StudyState.INCOMPLETE] * 3
    assert len(node.lines("study.incomplete")) == 1
    node.arrive(2, count=2, first=11)
    node.late = dt.timedelta(seconds=1)
    study = eventually("it is whole", lambda: (row := node.judge()).state is StudyState.ANALYSING and row, 5)
    assert study.reason == "MPPS COMPLETED, 12 of 12 instances"
    assert node.shortfall() is None


def test_the_end_of_the_step_completes_an_incomplete_study_without_a_new_instance(bench: Callable[..., Bench]) -> None:
    node = bench(incomplete="wait")
    node.arrive(601, count=10)
    node.step(10, final=False)
    assert node.judge().state is StudyState.INCOMPLETE
    assert (node.shortfall() or Shortfall(expected=0)).expected is None
    node.step(10)
    node.late = dt.timedelta(seconds=1)
    assert node.judge().state is StudyState.ANALYSING


def test_a_person_releases_an_incomplete_study(bench: Callable[..., Bench]) -> None:
    node = bench(incomplete="wait")
    node.arrive(601, count=10)
    node.step(12)
    node.judge()
    with node.records.write() as session:
        evidence.release(session, session.scalars(select(Study)).one())
    study = node.judge()
    assert study.state is StudyState.ANALYSING
    assert study.reason == "released by hand; MPPS COMPLETED, 10 of 12 instances"
    assert node.shortfall() is None


def test_a_late_instance_after_a_person_s_word_is_waited_for_anew(bench: Callable[..., Bench]) -> None:
    node = bench(incomplete="wait")
    node.arrive(60, count=10)
    node.step(12)
    with node.records.write() as session:
        evidence.release(session, session.scalars(select(Study)).one())
    assert node.judge().state is StudyState.ANALYSING
    node.arrive(-0.5, first=11)
    node.late = dt.timedelta(seconds=30)
    assert node.judge().state is StudyState.RECEIVING


def test_a_changed_policy_takes_up_studies_that_waited(bench: Callable[..., Bench]) -> None:
    node = bench(incomplete="wait")
    node.arrive(601, count=10)
    node.step(12)
    node.judge()
    assert bench(incomplete="process").judge().state is StudyState.ANALYSING


def test_an_unwanted_study_still_says_that_it_is_incomplete(bench: Callable[..., Bench]) -> None:
    node = bench()
    node.arrive(601, count=10)
    node.step(12)
    with node.records.write() as session:
        session.scalars(select(Study)).one().series[0].modality = "CT"
    study = node.judge()
    assert study.state is StudyState.UNWANTED
    assert study.reason.startswith("no rule wants it; incomplete")


def test_other_instances_than_the_named_ones_do_not_complete_it(bench: Callable[..., Bench]) -> None:
    node = bench()
    node.arrive(60, count=10, first=5)
    node.step(10)
    assert node.judge().state is StudyState.RECEIVING
    node.arrive(59, count=4)
    node.late = dt.timedelta(seconds=3)
    assert node.judge().reason == "no instance for 10 s; MPPS COMPLETED, 10 of 10 instances"


def test_records_that_are_behind_do_not_pass_for_quiet(bench: Callable[..., Bench]) -> None:
    node = bench()
    node.arrive(60)
    node.late = dt.timedelta(seconds=-55)
    assert node.judge().state is StudyState.RECEIVING


def test_an_order_without_images_for_long_changes_nothing(bench: Callable[..., Bench]) -> None:
    node = bench()
    with node.records.write() as session:
        expectations.expect(session, UID, "order", "A1")
    node.arrive(11)
    assert node.judge().state is StudyState.ANALYSING


def test_one_study_that_cannot_be_concluded_does_not_hold_up_the_others(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = bench()
    node.arrive(60)
    with node.records.write() as session:
        factories.study(session, "1.9", last_instance_at=now() - dt.timedelta(seconds=60))
    conclude = node.completion.conclude

    def broken(session: Any, study: Study) -> bool:
        if study.uid == UID:
            raise RuntimeError("a fault")
        return conclude(session, study)

    monkeypatch.setattr(node.completion, "conclude", broken)
    node.dispatcher.complete_studies()
    with node.records.read() as session:
        states = {study.uid: study.state for study in session.scalars(select(Study))}
    assert states == {UID: StudyState.RECEIVING, "1.9": StudyState.ANALYSING}
    assert node.dispatcher.complete_studies() == 0  # not at every look


def test_the_source_is_asked_before_quiet_decides(bench: Callable[..., Bench]) -> None:
    node = bench(ask=lambda uid, peer: 12)
    node.arrive(60, count=12)
    study = eventually("it is judged", lambda: (row := node.judge()).state is StudyState.ANALYSING and row)
    assert study.reason.endswith("C-FIND of the source, 12 of 12 instances")
    assert node.lines("study.counted") == [("info", "MR1 has 12 instances of the study (C-FIND).")]


def test_a_source_that_has_more_is_waited_for(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.completion.RELOOK_SECONDS", 0.05)
    monkeypatch.setattr("node.inquiry.AGAIN_SECONDS", 0.1)
    has = [15]
    node = bench(ask=lambda uid, peer: has[0])
    node.arrive(60, count=12)
    eventually("it was asked", lambda: node.judge() and node.lines("study.counted"))
    assert node.judge().state is StudyState.RECEIVING
    has[0] = 12  # three were deleted there
    eventually("it is judged", lambda: node.judge().state is StudyState.ANALYSING)
    assert len(node.lines("study.counted")) == 2


def test_a_source_that_never_sends_what_it_has_leaves_the_study_incomplete(bench: Callable[..., Bench]) -> None:
    node = bench(ask=lambda uid, peer: 15, incomplete="wait")
    node.arrive(601, count=12)
    study = eventually("it is judged", lambda: (row := node.judge()).state is StudyState.INCOMPLETE and row)
    assert "C-FIND of the source, 12 of 15 instances" in study.reason


def test_a_source_that_does_not_answer_is_noted_once_and_judged_without(bench: Callable[..., Bench]) -> None:
    def silent(uid: str, peer: object) -> int:
        raise QueryError("the peer gave no answer in time, or broke off")

    node = bench(ask=silent)
    node.arrive(60, count=12)
    study = eventually("it is judged", lambda: (row := node.judge()).state is StudyState.ANALYSING and row)
    assert study.reason == "no instance for 10 s"
    node.arrive(30, first=13)
    eventually("it is judged again", lambda: node.judge().state is StudyState.ANALYSING)
    [(level, text)] = node.lines("study.uncounted")
    assert level == "warning"
    assert "no answer in time" in text


def test_an_answer_outlives_the_gateway(bench: Callable[..., Bench]) -> None:
    node = bench(ask=lambda uid, peer: 12)
    node.arrive(60, count=12)
    node.completion.due()
    eventually("the answer is entered", lambda: node.completion.due() is not None and node.lines("study.counted"))

    def never(uid: str, peer: object) -> int:
        raise AssertionError("asked again")

    again = bench(ask=never)
    eventually("it is judged", lambda: again.judge().state is StudyState.ANALYSING)
    assert again.lines("study.uncounted") == []


def test_a_study_asking_its_source_does_not_hold_up_others(bench: Callable[..., Bench]) -> None:
    stop = threading.Event()
    node = bench(ask=lambda uid, peer: int(stop.wait(20)))
    node.arrive(60)
    with node.records.write() as session:
        factories.study(session, "1.9", calling_ae_title="CT1", last_instance_at=now() - dt.timedelta(seconds=60))
    node.dispatcher.complete_studies()
    with node.records.read() as session:
        states = {study.uid: study.state for study in session.scalars(select(Study))}
    assert states == {UID: StudyState.RECEIVING, "1.9": StudyState.ANALYSING}
    stop.set()


def test_a_source_that_pauses_is_learned_and_waited_for(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.completion.RELOOK_SECONDS", 0.0)
    node = bench()
    node.arrive(60, count=60, pause=8.0)
    assert node.judge().state is StudyState.ANALYSING
    with node.records.read() as session:
        wait = sources.pauses(session, "MR1").wait(120)
    assert wait is not None
    assert wait >= 16
    with node.records.write() as session:
        factories.study(session, "1.9", last_instance_at=now() - dt.timedelta(seconds=12))
    assert node.completion.due() == []
    node.late = dt.timedelta(seconds=wait)
    node.dispatcher.complete_studies()
    with node.records.read() as session:
        study = session.scalars(select(Study).where(Study.uid == "1.9")).one()
    assert "its source pauses; 10 s are configured" in study.reason


def test_a_site_may_refuse_learning(bench: Callable[..., Bench]) -> None:
    node = bench(learn=False)
    node.arrive(60, count=60, pause=8.0)
    node.judge()
    with node.records.read() as session:
        assert sources.pauses(session, "MR1").gaps.total == 0


def test_the_pause_that_cut_a_study_in_two_is_learned_when_the_rest_came(bench: Callable[..., Bench]) -> None:
    node = bench()
    node.arrive(30, count=3, pause=0.1)
    assert node.judge().state is StudyState.ANALYSING
    node.late = dt.timedelta(seconds=30)
    node.arrive(15, count=2, first=4, pause=0.1)  # 45 s after the first part
    assert node.judge().state is StudyState.ANALYSING
    with node.records.read() as session:
        longest = sources.pauses(session, "MR1").gaps.quantile(1.0)
        count = len(session.scalars(select(Instance.id)).all())
    assert 44 <= longest <= 46 * 1.19
    assert count == 5


@pytest.mark.peer
def test_orthanc_is_asked_and_its_number_decides(records: Records, peer: Callable[[str], str], tmp_path: Path) -> None:
    orthanc = Orthanc(peer("Orthanc"), tmp_path / "orthanc", DicomAlwaysAllowFind=True)
    try:
        fill(orthanc, tmp_path / "out", 4)
        peers = [{"ae_title": "ORTHANC", "host": "127.0.0.1", "port": orthanc.dicom_port, "query": True}]
        settings = Settings.model_validate({"node": {"root": tmp_path}, "dicom": {"peers": peers}})
        dispatcher = Dispatcher(settings, records, MemoryBroker())  # type: ignore[arg-type]
        with records.write() as session:
            for number in (1, 2, 3):
                old = now() - dt.timedelta(seconds=60)
                index(session, header(number, old))
            session.scalars(select(Study)).one().calling_ae_title = "ORTHANC"

        def judged() -> Study:
            dispatcher.complete_studies()
            with records.read() as session:
                return session.scalars(select(Study)).one()

        def counted() -> bool:
            with records.read() as session:
                return bool(session.scalars(select(Event).where(Event.kind == "study.counted")).all())

        eventually("Orthanc was asked", lambda: judged() and counted())
        assert judged().state is StudyState.RECEIVING
        with records.write() as session:
            index(session, header(4, now()))
        study = eventually("it is judged", lambda: (row := judged()).state is StudyState.ANALYSING and row)
        assert study.reason == "C-FIND of the source, 4 of 4 instances"
    finally:
        orthanc.stop()


def fill(orthanc: Orthanc, folder: Path, count: int) -> None:
    """Put a study into an Orthanc."""
    items = [outgoing_image(folder / str(number), SOPInstanceUID=f"{UID}.1.{number}") for number in range(1, count + 1)]
    outcomes = list(send(items, "127.0.0.1", orthanc.dicom_port, "ORTHANC", "OVERREAD"))
    assert [outcome.ok for outcome in outcomes] == [True] * count
