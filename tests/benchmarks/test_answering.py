"""The benchmark of answers asks every shipped model; how fast it is, is no test's business."""

from __future__ import annotations

from models import catalog
from tests.benchmarks.answering import ASKED, seconds_of


def test_every_shipped_model_is_asked_for_something() -> None:
    assert {name for name, _ in ASKED.values()} == set(catalog.names())


def test_each_run_after_the_first_is_timed() -> None:
    name, make = ASKED["labs-risk, 48 h"]

    found = seconds_of(name, make, runs=2)

    assert isinstance(found["runs"], list)
    assert len(found["runs"]) == 2
    assert min(found["runs"]) <= found["median"] <= max(found["runs"])
