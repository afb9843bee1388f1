from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from models import gpu, machine


def test_the_processor_is_among_the_devices_with_memory_that_is_free() -> None:
    found = gpu.devices()[-1]
    assert found.name == "cpu"
    assert 0 < found.free_bytes <= found.total_bytes


def test_gpus_are_shared_out_among_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [str(gpu.pick("auto", ordinal)) for ordinal in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert str(gpu.pick("cuda:1", 0)) == "cuda:1"
    assert str(gpu.pick("cpu", 1)) == "cpu"


def test_what_torch_keeps_for_later_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (100, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 60)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 20)
    assert gpu.free_bytes(torch.device("cuda:0")) == 140


@pytest.mark.parametrize(("needed", "free", "expected"), [(10, 30, 0), (20, 30, 0), (21, 30, 1), (100, 0, 110)])
def test_a_model_is_admitted_where_it_fits_and_the_reserve_stays(needed: int, free: int, expected: int) -> None:
    assert gpu.lacking(needed, free, reserve=10) == expected


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A control group of version 2 below one that sets no limits."""
    group = tmp_path / "cgroup" / "pod" / "node"
    group.mkdir(parents=True)
    own = tmp_path / "own"
    own.write_text("0::/pod/node\n")
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    for name, value in {"CGROUP": tmp_path / "cgroup", "OWN_CGROUP": own, "MEMINFO": meminfo}.items():
        monkeypatch.setattr(machine, name, value)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    return group


def test_without_limits_the_machine_is_what_counts(container: Path) -> None:
    assert machine.free_memory() == 8000 * 1024
    assert machine.cpu_count() == 8


def test_the_limits_of_a_container_count_also_those_above_it(container: Path) -> None:
    (container.parent / "memory.max").write_text("3000000\n")
    (container.parent / "memory.current").write_text("2500000\n")
    (container.parent / "memory.stat").write_text("anon 1\ninactive_file 200000\n")
    (container / "memory.max").write_text("max\n")
    (container / "cpu.max").write_text("250000 100000\n")
    assert machine.free_memory() == 700000
    assert machine.cpu_count() == 2


def test_a_share_of_a_core_is_a_core(container: Path) -> None:
    (container / "cpu.max").write_text("50000 100000\n")
    assert machine.cpu_count() == 1


@pytest.mark.parametrize(
    ("wanted", "processes", "expected"), [(0, 1, 8), (0, 2, 4), (0, 3, 2), (0, 99, 1), (6, 2, 6), (0, 0, 8)]
)
def test_processes_share_the_cores_unless_the_operator_says_otherwise(
    container: Path, wanted: int, processes: int, expected: int
) -> None:
    assert machine.threads_for(wanted, processes) == expected
