"""The devices that models run on: which there are, the memory that they have free, and whether a model fits.

Free memory is what the device says at the moment, so that other programs on the same GPU, and the limit of a container
(:mod:`models.machine`), count as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from models import machine
from models.runtime import choose_device


@dataclass(frozen=True, slots=True)
class Device:
    """A device with its memory in bytes.

    Parameters
    ----------
    name
        As torch has it: ``"cpu"``, ``"cuda:0"``.
    title
        For people.
    """

    name: str
    title: str
    total_bytes: int
    free_bytes: int


def devices() -> tuple[Device, ...]:
    """Return the GPUs that CUDA offers, then the processor."""
    found = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        found.append(Device(f"cuda:{index}", torch.cuda.get_device_name(index), total, free))
    cores = f"processor, {machine.cpu_count()} cores"
    return (*found, Device("cpu", cores, machine.physical_bytes(), machine.free_memory()))


def pick(wanted: str = "auto", ordinal: int = 0) -> torch.device:
    """Pick the device of one of several processes.

    Parameters
    ----------
    wanted
        As in :func:`models.runtime.choose_device`; ``"auto"`` and ``"cuda"`` share the GPUs out.
    ordinal
        Which of the processes it is: the first gets the first GPU, and where there are more processes than GPUs, some
        share one.

    Raises
    ------
    models.runtime.DeviceError
        If the device is not there.
    """
    device = choose_device(wanted)
    if str(device) == "cuda":
        return torch.device("cuda", ordinal % torch.cuda.device_count())
    return device


def free_bytes(device: torch.device) -> int:
    """Return how much memory a device has free, what torch keeps for later use among it."""
    if device.type != "cuda":
        return machine.free_memory()
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


def lacking(needed: int, free: int, reserve: int) -> int:
    """Return how many bytes must become free before ``needed`` fit and ``reserve`` stay free; 0 where they fit."""
    return max(0, needed + reserve - free)
