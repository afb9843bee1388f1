from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from models.labs import networks
from models.labs.networks import RiskShape
from models.training import labs_risk
from models.training.framework import recorder
from models.training.labs_risk import evaluation
from tests.models.labs.generated import write_data_set

Trained = tuple[Path, Path, dict[str, Any]]


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks of a few weights are slower on several threads than on one."""
    former = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(former)


@contextmanager
def small() -> Iterator[None]:
    """Let networks be small, intervals coarse, and no TensorBoard be written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "SHAPE", RiskShape(code=16, state=8, members=2))
        patch.setattr(evaluation, "RESAMPLES", 20)
        patch.setattr(recorder, "summary_writer", lambda folder: None)
        yield


@pytest.fixture(scope="package")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    data, out = tmp_path_factory.mktemp("stays"), tmp_path_factory.mktemp("labs-risk")
    write_data_set(data, 80)
    with small():
        return data, out, labs_risk.train(data, out, seed=1, epochs=2, device="cpu", progress=False)


@pytest.fixture
def trained(trained_once: Trained) -> Iterator[Trained]:
    """Data, weights and report of a small training on generated stays; networks are small while it is used."""
    with small():
        yield trained_once
