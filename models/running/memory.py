"""Telling that memory ran out, whichever way torch says it, and giving back what is kept for later."""

from __future__ import annotations

import gc

import torch

SAID = ("out of memory", "defaultcpuallocator", "can't allocate memory", "alloc_failed")
"""Words of errors that are not ``torch.OutOfMemoryError``: of the processor's allocator, of cuDNN and cuBLAS."""


def is_out_of_memory(exc: BaseException) -> bool:
    """Whether an error says that memory ran out."""
    if isinstance(exc, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(exc, RuntimeError) and any(words in str(exc).lower() for words in SAID)


def release(device: torch.device) -> None:
    """Give memory that nothing uses back to the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
