from __future__ import annotations

import json
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
