from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from models.imaging import hippocampus
from models.imaging.networks import UNetShape
from models.training.framework import recorder
from models.training.hippocampus import stages

SMALL = UNetShape(classes=3, filters=(4, 8, 8))


@pytest.fixture(scope="package", autouse=True)
def small() -> Iterator[None]:
    """Train a network that is small enough for a test, on one thread, without TensorBoard."""
    former = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        for module in (hippocampus, stages):
            patch.setattr(module, "NETWORK", SMALL)
        patch.setattr(recorder, "summary_writer", lambda folder: None)
        yield
    torch.set_num_threads(former)
