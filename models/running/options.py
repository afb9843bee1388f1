"""How models are run on this machine; no torch, so that a process which runs none can hold it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Precision = Literal["auto", "float32", "bfloat16", "float16"]

RESERVE_BYTES = 512 << 20
"""Memory that stays free on a device when a model is taken in: room for what one inference needs."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of one process that runs models.

    Parameters
    ----------
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:<number>"``.
    ordinal
        Which of several processes this is: GPUs are shared out by it.
    threads
        Threads within an operation; 0: this process's share of the cores.
    processes
        How many such processes share the cores.
    precision
        ``"auto"`` takes what the device is made for: bfloat16 or float16 on a GPU, float32 on a processor.
    compiled
        Whether networks go through ``torch.compile``.
    deterministic
        Whether only repeatable algorithms are allowed.
    reserve_bytes
        Memory of the device that stays free when a model is taken in.
    site
        Folder of the site's own models, or None.
    """

    device: str = "auto"
    ordinal: int = 0
    threads: int = 0
    processes: int = 1
    precision: Precision = "auto"
    compiled: bool = False
    deterministic: bool = False
    reserve_bytes: int = RESERVE_BYTES
    site: Path | None = None
