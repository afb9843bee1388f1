"""The benchmark of delivery counts right; how fast anything is, is no test's business."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.benchmarks.delivery import measure


@pytest.mark.peer
def test_a_tiny_run_brings_every_object_of_both_senders_to_orthanc(peer: Callable[[str], str]) -> None:
    peer("Orthanc")
    peer("dcmsend")
    found = measure(runs=1, count=16)
    assert found["stored"] == 2 * 2 * 16, "of two senders, in a run that warms up and one that counts"
    assert set(found["objects_per_second"]) == {"dcmsend", "overread"}  # type: ignore[call-overload]
