"""Which report a context asks for, when it was reported before."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from node.records.schema import Result
from tests.workers.synthetic import result_input
from workers.reporting.report import returned
from workers.results.common import ResultInput, sr_uid


@pytest.fixture
def inp() -> ResultInput:
    image = Dataset()
    image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    return result_input([image], (6, 12, 10))


def report(inp: ResultInput, predecessor: str = "") -> Result:
    return Result(kind="sr", uid=sr_uid(inp), predecessor=predecessor)


def test_the_newest_report_s_own_context_asks_for_nothing_new(inp: ResultInput) -> None:
    assert returned(inp, report(inp)) is inp


def test_a_context_that_comes_back_gets_a_report_of_its_own_every_time_and_only_once(inp: ResultInput) -> None:
    one, two = inp, replace(inp, context_digest="33" * 32)
    history = [report(one), report(two, sr_uid(one))]
    for back in (one, two, one):
        again = returned(back, history[-1])
        assert sr_uid(again) not in {row.uid for row in history}
        history.append(report(again, history[-1].uid))
        assert sr_uid(returned(back, history[-1])) == history[-1].uid, "asked again, it is made already"
