from __future__ import annotations

import pytest
import torch

from models.contracts import Model
from models.running.answers import OutOfMemory
from models.running.residency import Residents
from tests.models.running.doubles import Library, Sayer

CPU = torch.device("cpu")
MODEL_BYTES = 4000


def heavy() -> Model:
    return Sayer(network=torch.nn.Linear(1000, 1, bias=False))


class Memory:
    """A device of some size, that knows what is resident."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.residents: Residents | None = None

    def free(self, device: torch.device) -> int:
        assert self.residents is not None
        return self.size - MODEL_BYTES * len(self.residents.names())


def residing(library: Library, size: int, reserve: int = 0) -> Residents:
    memory = Memory(size)
    memory.residents = Residents(
        library,
        settle=lambda *_: None,
        estimate=lambda _: MODEL_BYTES,
        free=memory.free,
        reserve=reserve,
    )
    return memory.residents


def test_a_model_is_loaded_once_and_stays() -> None:
    library = Library(a=heavy)
    residents = residing(library, 2 * MODEL_BYTES)
    assert residents.get("a", CPU) is residents.get("a", CPU)
    assert library.loaded == [("a", "cpu")]


def test_the_one_longest_unused_is_given_up_for_the_next() -> None:
    library = Library(a=heavy, b=heavy, c=heavy)
    residents = residing(library, 2 * MODEL_BYTES)
    for name in ("a", "b", "a", "c"):
        residents.get(name, CPU)
    assert residents.names() == ["a", "c"]
    residents.get("b", CPU)
    assert residents.names() == ["c", "b"]


def test_the_reserve_stays_free() -> None:
    residents = residing(Library(a=heavy, b=heavy), 2 * MODEL_BYTES, reserve=1)
    residents.get("a", CPU)
    residents.get("b", CPU)
    assert residents.names() == ["b"]


def test_what_does_not_fit_an_empty_device_is_refused() -> None:
    library = Library(a=heavy)
    with pytest.raises(OutOfMemory, match=r"workers\.reserve_mb"):
        residing(library, MODEL_BYTES - 1).get("a", CPU)
    assert library.loaded == []


def test_memory_that_runs_out_while_loading_gives_up_the_others_and_tries_again() -> None:
    tries = []

    def unlucky() -> Model:
        tries.append(1)
        if len(tries) == 1:
            raise torch.OutOfMemoryError
        return heavy()

    residents = residing(Library(a=heavy, b=unlucky), 9 * MODEL_BYTES)
    residents.get("a", CPU)
    residents.get("b", CPU)
    assert residents.names() == ["b"]


def test_another_version_under_the_same_name_is_loaded_anew() -> None:
    library = Library(a=heavy)
    residents = residing(library, 9 * MODEL_BYTES)
    old = residents.get("a", CPU)
    library.versions["a"] = "2"
    assert residents.get("a", CPU) is not old
