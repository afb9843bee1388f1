from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import select

from node.records import evidence, expectations
from node.records.engine import Records
from node.records.schema import Expectation
from node.records.states import StudyState
from tests import factories
from tests.node.commands.conftest import run


def test_an_incomplete_study_is_listed_shown_and_released(config: Path, store: Records) -> None:
    with store.write() as session:
        study = factories.study(session, state=StudyState.INCOMPLETE)
        expectations.expect(session, study.uid, "mpps", "9.1", instances=["1", "2"], final=True)
        evidence.fall_short(session, study, 1, 2)
    [row] = json.loads(run("study", "list", "--config", config, "--json").stdout)
    assert row["incomplete"] == {"received": 1, "expected": 2}
    shown = json.loads(run("study", "show", "1", "--config", config, "--json").stdout)
    assert shown["incomplete"] == {"received": 1, "expected": 2}
    [expected] = shown["expectations"]
    assert (expected["source"], expected["count"], expected["final"]) == ("mpps", 2, True)
    assert "Study 1 is released" in run("study", "process", "1", "--config", config).stdout
    with store.read() as session:
        assert session.scalars(select(Expectation).where(Expectation.source == "person")).one().final


def test_a_study_that_waits_for_nothing_is_not_released(config: Path, store: Records) -> None:
    with store.write() as session:
        factories.study(session, state=StudyState.DONE)
    said = run("study", "process", "1", "--config", config)
    assert said.exit_code == 2
    assert "the study is done" in said.stderr
    shown = json.loads(run("study", "show", "1", "--config", config, "--json").stdout)
    assert shown["incomplete"] is None
