from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models import cards, catalog, runtime
from models.contracts import WeightsError


def small_network() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))


def test_weights_come_back_to_half_precision(tmp_path: Path) -> None:
    network = small_network()
    digest = runtime.save_weights(network, tmp_path / "w.safetensors")

    state = runtime.read_weights(tmp_path / "w.safetensors", digest)

    for name, value in network.named_parameters():
        assert torch.equal(state[name], value.detach().half().float())


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    digest = runtime.save_weights(small_network(), path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))

    with pytest.raises(WeightsError, match="SHA-256"):
        runtime.read_weights(path, digest)


def test_missing_weights_are_reported(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights"):
        runtime.read_weights(tmp_path / "w.safetensors", "0" * 64)


def test_weights_of_another_network_are_refused() -> None:
    tensors = runtime.named_tensors(torch.nn.Linear(3, 2))

    with pytest.raises(WeightsError, match="do not fit"):
        runtime.load_into(small_network(), tensors)
    with pytest.raises(WeightsError, match="weight"):
        runtime.load_into(torch.nn.Linear(4, 2), tensors)


def test_the_shipped_weights_have_the_digest_of_their_card() -> None:
    for name in catalog.names():
        folder = catalog.weights_folder(name)

        assert runtime.sha256_of(folder / cards.WEIGHTS_FILE) == catalog.card(name).weights_sha256


def test_the_shipped_weights_are_a_few_megabytes() -> None:
    assert (catalog.weights_folder("hippocampus") / cards.WEIGHTS_FILE).stat().st_size < 6_000_000


def test_loading_weights_that_the_card_does_not_name_is_refused(tmp_path: Path) -> None:
    shipped = catalog.weights_folder("hippocampus")
    (tmp_path / cards.CARD_FILE).write_bytes((shipped / cards.CARD_FILE).read_bytes())
    (tmp_path / cards.WEIGHTS_FILE).write_bytes((shipped / cards.WEIGHTS_FILE).read_bytes()[:-2] + b"\x00\x01")

    with pytest.raises(WeightsError, match="SHA-256"):
        catalog.load("hippocampus", "cpu", folder=tmp_path)


def test_the_processor_is_always_there() -> None:
    assert runtime.choose_device("cpu").type == "cpu"
    assert runtime.choose_device("auto").type in {"cpu", "cuda"}


@pytest.mark.parametrize("wanted", ["cuda:999", "toaster", "meta"])
def test_a_device_that_is_not_there_is_refused(wanted: str) -> None:
    with pytest.raises(runtime.DeviceError):
        runtime.choose_device(wanted)


def test_the_deterministic_block_repeats_and_gives_back_the_former_state() -> None:
    before = torch.get_rng_state()
    with runtime.deterministic(5):
        first = torch.rand(3)
    with runtime.deterministic(5):
        second = torch.rand(3)

    assert torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.are_deterministic_algorithms_enabled()
