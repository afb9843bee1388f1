from __future__ import annotations

import numpy as np
import pytest

from models.contracts import Measurement
from models.imaging.quantify import PartVolume, half_widths_ml, outside_range, part_volume, volume_measurement


def soft(
    labels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], sure: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    probabilities = np.full((3, *labels.shape), (1 - sure) / 2, dtype=np.float32)
    for value in range(3):
        probabilities[value][labels == value] = sure
    return probabilities


LABELS = np.zeros((4, 5, 6), dtype=np.uint8)
LABELS[1, 1:3, 1:3] = 1
LABELS[2, 1:4, 2] = 2


def test_the_volume_is_the_drawn_voxels_times_their_size() -> None:
    part = part_volume(soft(LABELS, 0.9), LABELS, (1,), 0.002)

    assert part.value_ml == pytest.approx(4 * 0.002)
    assert part.certainty == pytest.approx(0.9)


def test_the_whole_is_the_union_of_the_parts() -> None:
    probabilities = soft(LABELS, 0.9)
    parts = [part_volume(probabilities, LABELS, wanted, 0.001) for wanted in ((1,), (2,), (1, 2))]

    assert parts[2].value_ml == pytest.approx(parts[0].value_ml + parts[1].value_ml)


def test_doubt_widens_the_interval_and_the_interval_holds_the_value() -> None:
    def measure(certainty: float) -> Measurement:
        part = part_volume(soft(LABELS, certainty), LABELS, (1,), 0.01)
        return volume_measurement(part, half_widths_ml({"a": part}, {"a": 2.0})["a"])

    sure, unsure = measure(0.99), measure(0.8)

    for measurement in (sure, unsure):
        assert measurement.lower is not None
        assert measurement.upper is not None
        assert 0 <= measurement.lower < measurement.value < measurement.upper
        assert (measurement.unit.value, measurement.confidence) == ("mL", 0.95)
    assert sure.upper is not None
    assert unsure.upper is not None
    assert unsure.upper > sure.upper


def test_half_widths_of_parts_add_in_squares_for_their_union() -> None:
    part = PartVolume(1.0, 0.1, 0.9)

    halves = half_widths_ml({"whole": part, "a": part, "b": part}, {"a": 3.0, "b": 4.0})

    assert halves == pytest.approx({"whole": 0.5, "a": 0.3, "b": 0.4})


def test_a_part_that_is_not_there_has_no_volume_and_no_certainty() -> None:
    part = part_volume(soft(LABELS * 0, 0.99), LABELS * 0, (1,), 0.01)

    assert part.value_ml == 0
    assert part.certainty is None


@pytest.mark.parametrize(("value", "outside"), [(0.9, True), (1.0, False), (1.5, False), (2.1, True)])
def test_a_volume_outside_the_training_range_is_noticed(value: float, outside: bool) -> None:
    assert outside_range(value, [1.0, 2.0]) is outside
    assert not outside_range(value, None)
