"""One generated thorax with three lesions of known size, and what is found before the network."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from models.contracts import Volume
from models.imaging.lung.grid import Working, resampled
from models.imaging.lung.segmentation import Lungs, find_lungs
from models.training.lung_nodule.lesions import Kind, Lesion
from models.training.lung_nodule.thorax import Scanner, Truth, thorax

SOLID = Lesion((-75.0, 0.0, 170.0), 12.0, seed=1)
GROUND_GLASS = Lesion((72.0, 20.0, 150.0), 18.0, Kind.NON_SOLID, hu=-560.0, seed=2)
PART_SOLID = Lesion((-70.0, 40.0, 100.0), 20.0, Kind.PART_SOLID, hu=-580.0, core=0.5, seed=3)


@dataclass(frozen=True, eq=False)
class Chest:
    """A generated scan."""

    volume: Volume
    truth: Truth
    working: Working
    lungs: Lungs


@pytest.fixture(scope="session")
def chest() -> Chest:
    volume, truth = thorax(
        7, (108, 170, 170), (2.5, 2.0, 2.0), (SOLID, GROUND_GLASS, PART_SOLID), Scanner(0.6, 15.0, 0.2)
    )
    working = resampled(volume)
    return Chest(volume, truth, working, find_lungs(working))
