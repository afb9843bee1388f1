from __future__ import annotations

from typing import Any

from node.decide.conditions import Facts
from node.decide.rules import Wanted, decide
from node.records import drift, jobs, shadow, timeline
from node.records.engine import Records
from node.records.schema import Job, Study
from node.records.states import JobState, StudyState
from node.settings import Rule
from tests import factories

PUBLISHED = Wanted("nodules@1.0", "rule", (), "STAT", "STAT")
SHADOW = Wanted("nodules@2.0", "trial", (), "ROUTINE", shadow=True)
FOUND = [{"label": "nodule"}]
NOTHING = [{"label": "nodule", "present": False}]


def ask(records: Records, *wanted: Wanted, digest: str = "digest") -> list[str]:
    with records.write() as session:
        study = session.get(Study, 1) or factories.study(session, state=StudyState.ANALYSING)
        made = [jobs.ask(session, study, study.series[0], item, digest) for item in wanted]
        return [job.id for job in made if job is not None]


def infer(records: Records, key: str, findings: list[Any]) -> None:
    with records.write() as session:
        job = jobs.claim(session, key, "worker", 15.0)
        assert job is not None
        jobs.infer_done(session, job, version="2.0", prediction="file", findings=findings, warnings=[])


def test_a_rule_may_ask_for_a_shadow_run_alone() -> None:
    assert decide([Rule(name="trial", shadow=("m@2",))], Facts()) == [
        Wanted("m@2", "trial", (), "ROUTINE", shadow=True)
    ]


def test_a_model_that_is_published_as_it_is_needs_no_shadow_and_another_version_has_one() -> None:
    rules = [Rule(name="a", run=("m@1",), shadow=("m@1", "m@2")), Rule(name="b", shadow=("m@2",))]
    found = decide(rules, Facts())
    assert [(item.model, item.rule, item.shadow) for item in found] == [("m@1", "a", False), ("m@2", "a", True)]


def test_two_rules_that_pin_two_versions_publish_the_first_ones() -> None:
    rules = [Rule(name="a", run=("m@1",)), Rule(name="b", run=("m@2", "m"), send=("pacs",))]
    assert [item.model for item in decide(rules, Facts())] == ["m@1"]


def test_a_shadow_run_ends_without_results_and_the_study_does_not_wait_for_it(records: Records) -> None:
    published, hidden = ask(records, PUBLISHED, SHADOW)
    infer(records, published, FOUND)
    with records.write() as session:
        jobs.finish(session, session.get_one(Job, published), "context", {})
        study = session.get_one(Study, 1)
        assert study.state is StudyState.DONE
        assert [job.id for job in study.jobs] == [published]
        assert [job.id for job in study.shadow_jobs] == [hidden]
    infer(records, hidden, FOUND)
    with records.read() as session:
        assert session.get_one(Job, hidden).state is JobState.DONE
        assert session.get_one(Study, 1).state is StudyState.DONE
        assert "job.shadowed" in [event.kind for event in timeline.of_study(session, 1)]


def test_a_shadow_run_that_fails_does_not_fail_the_study(records: Records) -> None:
    [hidden] = ask(records, SHADOW)
    with records.write() as session:
        job = jobs.claim(session, hidden, "worker", 15.0)
        assert job is not None
        jobs.fail(session, job, "broken")
        assert session.get_one(Study, 1).state is StudyState.DONE


def test_published_work_goes_before_the_shadow(records: Records) -> None:
    hidden, published = ask(records, SHADOW, PUBLISHED)
    with records.read() as session:
        assert [job.id for job in jobs.waiting(session)] == [published, hidden]
        assert jobs.urgency(session.get_one(Job, hidden)) == "ROUTINE"


def test_a_rule_that_publishes_what_ran_in_shadow_has_it_built_and_replaces_the_older_version(records: Records) -> None:
    published, hidden = ask(records, PUBLISHED, SHADOW)
    infer(records, hidden, FOUND)
    ask(records, Wanted("nodules@2.0", "now for all", ("pacs",), "ASAP", "ASAP"))
    with records.read() as session:
        job = session.get_one(Job, hidden)
        assert (job.state, job.shadow, job.destinations) == (JobState.INFERRED, False, ["pacs"])
        assert session.get_one(Job, published).state is JobState.SUPERSEDED


def test_values_that_come_do_not_reopen_a_shadow_run(records: Records) -> None:
    [hidden] = ask(records, SHADOW)
    infer(records, hidden, FOUND)
    with records.write() as session:
        study = session.get_one(Study, 1)
        assert jobs.values_came(session, [study.patient_fk]) == 0
        assert jobs.rebuild(session, [study], "a note came") == 0


def test_the_summary_compares_shadow_runs_with_what_was_published(records: Records) -> None:
    published, hidden = ask(records, PUBLISHED, SHADOW)
    infer(records, published, FOUND)
    infer(records, hidden, NOTHING)
    with records.read() as session:
        [row] = shadow.summary(session)
    assert (row.model, row.version, row.states) == ("nodules@2.0", "2.0", {"done": 1})
    assert (row.found, row.compared, row.agree, row.differ) == (0, 1, 0, (1,))


def test_the_numbers_of_a_run_are_kept_once_and_only_finite_ones(records: Records) -> None:
    [key] = ask(records, PUBLISHED)
    for _ in range(2):
        with records.write() as session:
            numbers = {"input.mean": 1.5, "score.x": float("nan")}
            drift.keep(session, session.get_one(Job, key), "nodules", "1.0", "ACME One", numbers)
    with records.read() as session:
        [found] = drift.series(session)
    assert (found.number, list(found.reference), list(found.recent)) == ("input.mean", [1.5], [])
