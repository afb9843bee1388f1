from __future__ import annotations

import json
import random
from pathlib import Path

from node.decide.rules import Wanted
from node.records import drift, jobs
from node.records.engine import Records
from node.records.schema import Job
from node.records.states import StudyState
from tests import factories
from tests.node.commands.conftest import run

SHADOW = Wanted("nodules@2.0", "trial", (), "ROUTINE", shadow=True)


def shadowed(store: Records) -> str:
    with store.write() as session:
        study = factories.study(session, state=StudyState.ANALYSING)
        job = jobs.ask(session, study, study.series[0], SHADOW, "digest")
        assert job is not None
        return job.id


def test_shadow_runs_are_listed_and_stand_apart_in_the_study(store: Records, config: Path) -> None:
    shadowed(store)
    [row] = json.loads(run("models", "shadow", "--config", config, "--json").stdout)
    assert (row["model"], row["states"], row["compared"]) == ("nodules@2.0", {"queued": 1}, 0)
    assert "1 queued" in run("models", "shadow", "--config", config).stdout
    shown = json.loads(run("study", "show", "1", "--config", config, "--json").stdout)
    assert (shown["jobs"], [job["model"] for job in shown["shadow_jobs"]]) == ([], ["nodules@2.0"])
    assert "published nowhere" in run("study", "show", "1", "--config", config).stdout


def test_drift_is_shown_by_model_scanner_and_number(store: Records, config: Path) -> None:
    key = shadowed(store)
    with store.write() as session:
        drift.keep(session, session.get_one(Job, key), "nodules", "2.0", "ACME One", {"input.mean": -600.0})
    [row] = json.loads(run("models", "drift", "--config", config, "--json").stdout)
    assert (row["scanner"], row["number"], row["mean"], row["index"]) == ("ACME One", "input.mean", -600.0, None)
    assert "-600" in run("models", "drift", "--config", config).stdout


def test_what_a_shadow_run_found_is_printed_and_its_version_once(store: Records, config: Path) -> None:
    key = shadowed(store)
    with store.write() as session:
        job = jobs.claim(session, key, "worker", 15.0)
        assert job is not None
        found = [{"label": "nodule", "text": "Nodule of 7 mm."}]
        jobs.infer_done(session, job, version="2.0", prediction="file", findings=found, warnings=["Moved."])
    shown = run("study", "show", "1", "--config", config).stdout
    assert "Nodule of 7 mm." in shown
    assert "Moved." in shown
    assert "nodules 2.0: ran in shadow" in " ".join(shown.split())
    assert "nodules@2.0" not in shown.replace("nodules@2.0 queued", "").replace("nodules@2.0: started", "")
    assert "Nothing is compared" in run("models", "shadow", "--config", config).stdout


def test_what_moved_most_comes_first_and_what_cannot_be_said_yet_says_how_many_runs_it_needs(
    store: Records, config: Path
) -> None:
    with store.write() as session:
        study = factories.study(session)
        for number in range(drift.REFERENCE + 20):
            job = factories.job(session, study, id=f"j{number}", model=f"m{number}")
            moved = 10.0 if number >= drift.REFERENCE else 0.0
            noise = random.Random(number)
            numbers = {"a.still": noise.gauss(0, 1), "b.moved": noise.gauss(moved, 1), "declined": 0.0}
            drift.keep(session, job, "steady", "1", "ACME", numbers)
        drift.keep(session, factories.job(session, study, model="n"), "fresh", "1", "ACME", {"declined": 1.0})
    rows = json.loads(run("models", "drift", "--config", config, "--json").stdout)
    assert [(row["model"], row["number"], row["needs"]) for row in rows] == [
        ("steady", "b.moved", 0),
        ("steady", "a.still", 0),
        ("fresh", "declined", drift.REFERENCE + 19),
        ("steady", "declined", 0),
    ]
    [alone] = json.loads(run("models", "drift", "--config", config, "--model", "fresh", "--json").stdout)
    assert alone["note"] == f"needs {drift.REFERENCE + 19} more runs"
