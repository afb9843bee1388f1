"""Jobs through a worker, several at once: each has its own outcome, and a lost process is no lost job."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import event

from models import cards
from models.contracts import ModelCard, Prediction, Record, Source, Waveform
from models.running.answers import Answers
from models.running.opening import open_catalogue
from models.running.options import RunOptions
from models.running.process import ModelProcess
from node.records import jobs
from node.records.schema import Job, ModelRegistration
from node.records.states import JobState
from tests.models.running import children
from tests.workers.running.desk import BAD, SHORT, Counting, Desk
from tests.workers.running.shelf import Shelf
from workers import predictions, tasks
from workers.running import inference
from workers.running.inferrers import Direct, Isolated, ordinal

Starter = Callable[..., ModelProcess]


@pytest.fixture
def model() -> Counting:
    return Counting()


@pytest.fixture
def desk(tmp_path: Path, model: Counting) -> Iterator[Desk]:
    found = Desk(tmp_path, counting=model)
    yield found
    found.close()


def said(desk: Desk, name: str) -> str:
    prediction, _ = predictions.read(desk.context.root / desk.row(name).prediction)
    return prediction.findings[0].text


def test_jobs_of_one_model_go_through_together_and_each_has_its_own_prediction(desk: Desk, model: Counting) -> None:
    names = [desk.job(number, slices=5 + number) for number in range(3)]
    tasks.infer(desk.context, names[1])
    assert model.calls == [3]
    assert [desk.state(name) for name in names] == [JobState.INFERRED] * 3
    assert [said(desk, name) for name in names] == ["600", "720", "840"]
    assert [desk.row(name).lease_until for name in names] == [None] * 3


def test_no_more_go_together_than_the_model_takes_and_the_urgent_come_first(desk: Desk, model: Counting) -> None:
    names = [desk.job(number) for number in range(5)] + [desk.job(5, priority="STAT")]
    tasks.infer(desk.context, names[0])
    assert model.calls == [4]
    waiting = [name for name in names if desk.state(name) is JobState.QUEUED]
    assert waiting == names[3:5]


def test_jobs_of_other_models_are_left_alone(desk: Desk, model: Counting) -> None:
    mine, other = desk.job(1), desk.job(2, model="another")
    tasks.infer(desk.context, mine)
    assert desk.state(other) is JobState.QUEUED
    assert desk.row(other).attempts == 0


def test_what_goes_wrong_with_one_is_that_one_s_alone(desk: Desk) -> None:
    good, bad, short, gone = desk.job(1), desk.job(2, slices=BAD), desk.job(3, slices=SHORT), desk.job(4)
    desk.file(gone).write_bytes(b"not DICOM")
    tasks.infer(desk.context, good)
    assert desk.state(good) is JobState.INFERRED
    assert desk.state(bad) is JobState.QUEUED
    assert desk.row(bad).reason == "internal error (ValueError)"
    assert desk.state(short) is JobState.DECLINED
    assert desk.row(short).reason == "The series is too short."
    assert desk.state(gone) in (JobState.QUEUED, JobState.DECLINED)
    assert "Doe" not in "".join(desk.lines("job.requeued"))


def test_a_job_that_fails_as_often_as_is_tried_has_failed(desk: Desk) -> None:
    bad = desk.job(1, slices=BAD)
    for _ in range(desk.context.settings.workers.max_attempts):
        tasks.infer(desk.context, bad)
    assert desk.state(bad) is JobState.FAILED
    assert "tried 3 times" in desk.row(bad).reason


def test_a_model_that_there_is_not_fails_its_jobs_with_the_reason(desk: Desk) -> None:
    desk.context.catalogue = open_catalogue(None)
    job = desk.job(1, model="no-such")
    tasks.infer(desk.context, job)
    assert "no model is called 'no-such'" in desk.row(job).reason


def test_a_model_whose_weights_are_broken_fails_its_jobs_with_the_reason_and_the_others_go_on(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = cards.SHIPPED / "hippocampus"
    (tmp_path / "weights" / "hippocampus").mkdir(parents=True)
    for name in (cards.CARD_FILE, cards.WEIGHTS_FILE):
        content = (shipped / name).read_bytes()
        (tmp_path / "weights" / "hippocampus" / name).write_bytes(content + b"!" * (name == cards.WEIGHTS_FILE))
    monkeypatch.setattr(cards, "SHIPPED", tmp_path / "weights")
    catalogue = open_catalogue(None)
    assert "SHA-256" in catalogue.unusable("hippocampus")
    well, broken = desk.job(1), desk.job(2, model="hippocampus")
    for name, shelf in ((well, desk.context.catalogue), (broken, catalogue)):
        desk.context.catalogue = shelf
        desk.context.inferrer = Direct(shelf, RunOptions(device="cpu", reserve_bytes=0))
        tasks.infer(desk.context, name)
    assert desk.state(well) is JobState.INFERRED
    assert "SHA-256" in desk.row(broken).reason


def test_an_outcome_is_thrown_away_where_the_job_became_another_worker_s(desk: Desk, model: Counting) -> None:
    mine = desk.job(1)

    class Slow(type(desk.context.inferrer)):  # type: ignore[misc]
        def infer(self, name: str, sources: Sequence[Source]) -> Answers:
            with desk.records.write() as session:
                jobs.step(session.get_one(Job, mine), JobState.QUEUED)
            desk.claimed_by("another", mine)
            return super().infer(name, sources)  # type: ignore[no-any-return]

    desk.context.inferrer = Slow(desk.context.catalogue, RunOptions(device="cpu", reserve_bytes=0))
    tasks.infer(desk.context, mine)
    assert (desk.state(mine), desk.row(mine).worker) == (JobState.RUNNING, "another")
    assert model.calls == [1]


def test_an_error_of_ours_leaves_no_job_held(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = desk.job(1)
    monkeypatch.setattr(desk.context.inferrer, "infer", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tasks.infer(desk.context, mine)
    assert desk.context.leases._held == set()


def test_a_record_store_that_is_away_at_the_end_leaves_the_others_recorded(desk: Desk) -> None:
    names = [desk.job(number) for number in range(2)]
    failures = iter([True])

    @event.listens_for(desk.records.engine, "before_cursor_execute")
    def fail(_c: object, _u: object, statement: str, *_rest: object) -> None:
        if statement.startswith("UPDATE jobs") and "prediction" in statement and next(failures, False):
            raise OSError("away")

    tasks.infer(desk.context, names[0])
    assert [desk.state(name) for name in names] == [JobState.RUNNING, JobState.INFERRED]
    assert desk.context.leases._held == set(), "the lease of the first runs out, and it is asked for again"


def test_a_worker_that_builds_does_it_at_once_unless_more_waits(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    monkeypatch.setattr("workers.reporting.report.make", lambda _, job: built.append(job))
    desk.context.builds = True
    tasks.infer(desk.context, desk.job(1))
    desk.context.builds = False
    tasks.infer(desk.context, desk.job(2))
    assert (built, desk.sent) == (["job-1"], ["overread.build.job-2.1"])


@pytest.fixture
def isolated(desk: Desk) -> Iterator[Isolated]:
    process = ModelProcess(RunOptions(device="cpu"), 2.0, children.obedient)
    found = Isolated(process, desk.context.log)
    desk.context.inferrer = found
    yield found
    found.close()


def of(name: str) -> ModelCard:
    return replace(Counting().card, name=name)


def test_a_model_that_hangs_is_killed_and_its_job_tried_again_with_the_reason(tmp_path: Path) -> None:
    desk = Desk(tmp_path, hangs=Counting(of("hangs")), well=Counting(of("well")))
    desk.context.inferrer = Isolated(ModelProcess(RunOptions(), 2.0, children.obedient), desk.context.log)
    try:
        hanging, well = desk.job(1, model="hangs"), desk.job(2, model="well")
        for _ in range(2):
            tasks.infer(desk.context, hanging)
        assert desk.state(hanging) is JobState.QUEUED
        assert desk.row(hanging).reason == "hangs did not answer within 2 s (workers.timeout_seconds)"
        tasks.infer(desk.context, hanging)
        assert desk.state(hanging) is JobState.FAILED
        tasks.infer(desk.context, well)
        assert desk.state(well) is JobState.INFERRED, "another process answers"
        assert desk.row(well).model_version == "7"
    finally:
        desk.close()


def test_one_that_crashes_the_process_fails_alone(isolated: Isolated) -> None:
    sources = [Record(), Record(sex="O"), Record()]
    answers = isolated.infer("any", sources)
    one, bad, two = answers.outcomes
    assert isinstance(one, Prediction)
    assert isinstance(two, Prediction)
    assert "crashed (SIGSEGV)" in getattr(bad, "reason", "")
    assert one.findings[0].text != two.findings[0].text, "the crash ended the process between them"
    assert os.getpid() not in {int(one.findings[0].text), int(two.findings[0].text)}


def test_how_many_go_together_is_known_once_a_model_has_run(isolated: Isolated) -> None:
    assert isolated.batch("any") == 1
    isolated.infer("any", [Waveform(np.zeros((1, 9), "f4"), 500.0, (), "ECG")])
    assert isolated.batch("any") == 4
    assert isolated.batch("other") == 1


def test_models_are_registered_from_their_cards_and_a_broken_one_is_told_with_the_reason(
    desk: Desk, model: Counting
) -> None:
    shelf = Shelf(hippocampus=model, odd=model)
    shelf.broken["odd"] = "no weights"
    desk.context.catalogue = shelf
    desk.context.register_models()
    with desk.records.read() as session:
        good, odd = session.get_one(ModelRegistration, "hippocampus"), session.get_one(ModelRegistration, "odd")
    assert good.card["version"] == "1.0.0"
    assert "unusable" not in good.card
    assert odd.card["unusable"] == "no weights"
    assert model.calls == [], "no model was loaded"


@pytest.mark.parametrize(("name", "expected"), [("worker-2", 2), ("worker", 1), ("gpu-0", 0), ("a-9999999", 1)])
def test_the_number_of_a_worker_is_told_from_its_name(name: str, expected: int) -> None:
    assert ordinal(name) == expected


def test_a_foreign_error_s_text_is_not_told() -> None:
    assert inference.reason_of(ValueError("Doe^Jane")) == "internal error (ValueError)"
