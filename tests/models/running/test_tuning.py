from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module

import pytest
import torch

from models.running import tuning
from models.running.tuning import autocast, bytes_of, channels_last, chosen_precision, networks_of, settle
from tests.models.running.doubles import CARD, Sayer

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")


@dataclass(frozen=True, slots=True)
class Wrapped:
    network: torch.nn.Module
    name: str = "inner"


class Ensemble:
    def __init__(self, *networks: torch.nn.Module) -> None:
        self._members = [Wrapped(network) for network in networks]
        self.kind = torch.nn.Linear


def test_networks_are_found_wherever_a_model_holds_them() -> None:
    one, two = torch.nn.Linear(2, 3), torch.nn.Sequential(torch.nn.Linear(3, 1))
    assert list(networks_of(Ensemble(one, two))) == [one, two]
    assert list(networks_of(Sayer(network=one))) == [one]
    assert list(networks_of(Sayer())) == []


def test_the_memory_of_weights_counts_shared_ones_once() -> None:
    shared = torch.nn.Linear(10, 10)
    assert bytes_of(Ensemble(shared, shared)) == 4 * 110


def test_a_processor_runs_in_single_precision_unless_asked_otherwise() -> None:
    assert chosen_precision("auto", CPU, CARD) is None
    assert chosen_precision("bfloat16", CPU, CARD) is torch.bfloat16


@pytest.mark.parametrize(
    ("capability", "bfloat16", "expected"),
    [((6, 1), False, None), ((7, 5), False, torch.float16), ((8, 0), True, torch.bfloat16)],
)
def test_a_gpu_runs_in_the_precision_that_it_is_made_for(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], bfloat16: bool, expected: torch.dtype | None
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: bfloat16)
    assert chosen_precision("auto", GPU, CARD) is expected
    assert chosen_precision("float32", GPU, CARD) is None
    assert chosen_precision("auto", GPU, replace(CARD, metrics={"precision": "float32"})) is None


def test_lower_precision_holds_within_the_block_only() -> None:
    layer, x = torch.nn.Linear(4, 4), torch.ones(1, 4)
    with autocast(CPU, torch.bfloat16):
        assert layer(x).dtype is torch.bfloat16
    with autocast(CPU, None):
        assert layer(x).dtype is torch.float32


def test_channels_last_changes_the_layout_and_not_the_answer() -> None:
    network = torch.nn.Sequential(torch.nn.Conv3d(2, 4, 3), torch.nn.Conv3d(4, 2, 3)).eval()
    x = torch.rand(1, 2, 9, 9, 9)
    before = network(x)
    channels_last(network)
    assert next(network.parameters()).is_contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(network(x), before)


def test_settling_on_a_processor_leaves_networks_as_they_are() -> None:
    network = torch.nn.Conv2d(1, 2, 3)
    settle(Sayer(network=network), CPU, compiled=False)
    assert network.weight.requires_grad, "a heat map of the gradients needs them"
    assert network._compiled_call_impl is None
    settle(Sayer(network=network), CPU, compiled=True)
    assert network._compiled_call_impl is not None


class Halving(torch.nn.Module):
    """A network of its own: those of torch.nn alone are not compiled."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x / 2)


def test_a_network_that_does_not_compile_runs_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def broken(*_: object, **__: object) -> None:
        tries.append(1)
        raise RuntimeError("no compiler")

    dynamo = import_module("torch._dynamo")
    monkeypatch.setattr(dynamo.config, "suppress_errors", False)
    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", broken)
    network = Halving()
    expected = network(torch.ones(1, 2))
    tuning.compile_network(network)
    torch.testing.assert_close(network(torch.ones(1, 2)), expected)
    assert tries, "it was tried"
