"""The traffic of a few real records through two whole nodes, in order and disturbed: a campaign's short version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.campaigns.console import Outcome
from tests.campaigns.traffic import SET, campaign

pytestmark = [pytest.mark.e2e, pytest.mark.data, pytest.mark.timeout(600)]
SEED = 7
"""One with a merge, an edited note and a cancelled one among the four patients."""


def test_disturbed_traffic_leaves_what_ordered_traffic_leaves_and_each_report_is_delivered_once(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    outcome = Outcome()
    campaign(tmp_path, real_data(SET), outcome, patients=4, studies=2, specimens=10, seed=SEED, seconds=200)
    assert outcome.violations == []
    assert outcome.figures["events: ADT^A40"] > 0
    assert outcome.figures["compared: studies"] == 2
    assert outcome.figures["disturbed: repetitions"] > 0
    assert outcome.figures["disturbed: sent again"] > 0
