"""Precision, memory layout and compilation of the networks that a model holds.

A model needs no code for it: its networks are found among its attributes, and lower precision is put around its call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, is_dataclass
from importlib import import_module
from types import ModuleType

import torch

from models.contracts import ModelCard
from models.running.options import Precision

DTYPES: Mapping[str, torch.dtype] = {"bfloat16": torch.bfloat16, "float16": torch.float16}

TENSOR_CORES = (7, 0)
"""CUDA capability from which GPUs multiply half precision faster than single (Volta)."""

DEPTH = 3
"""How deep networks are looked for: a model, its list of networks, what wraps one of these."""


def networks_of(model: object, depth: int = DEPTH) -> Iterator[torch.nn.Module]:
    """Give each network that an object holds as an attribute, in a list or a dictionary; the outermost only."""
    if isinstance(model, torch.nn.Module):
        yield model
    elif depth > 0:
        for item in _held(model):
            yield from networks_of(item, depth - 1)


def _held(item: object) -> list[object]:
    if isinstance(item, Mapping):
        return list(item.values())
    if isinstance(item, list | tuple):
        return list(item)
    if isinstance(item, type | ModuleType):
        return []
    slots = [getattr(item, field.name, None) for field in fields(item)] if is_dataclass(item) else []
    return slots or list(getattr(item, "__dict__", {}).values())


def bytes_of(model: object) -> int:
    """Return the memory that the weights of a model take."""
    tensors = {
        id(tensor): tensor.numel() * tensor.element_size()
        for network in networks_of(model)
        for tensor in (*network.parameters(), *network.buffers())
    }
    return sum(tensors.values())


def chosen_precision(wanted: Precision, device: torch.device, card: ModelCard) -> torch.dtype | None:
    """Return the lower precision that a model runs in on a device, or None for float32.

    A card forbids it with ``metrics["precision"] = "float32"``: where its figures were found not to hold in less.
    """
    if wanted == "float32" or card.metrics.get("precision") == "float32":
        return None
    if wanted != "auto":
        return DTYPES[wanted]
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < TENSOR_CORES:
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def autocast(device: torch.device, precision: torch.dtype | None) -> AbstractContextManager[object]:
    """Put operations that bear it into lower precision within the block; float32 leaves them alone."""
    return nullcontext() if precision is None else torch.autocast(device.type, precision)


def settle(model: object, device: torch.device, *, compiled: bool) -> None:
    """Ready the networks of a model: channels last on a GPU, and compiled where that is asked for."""
    for network in networks_of(model):
        if isinstance(network, torch.jit.ScriptModule):
            continue  # laid out and compiled when it was made
        if device.type == "cuda":
            channels_last(network)
        if compiled:
            compile_network(network)


def compile_network(network: torch.nn.Module) -> None:
    """Have a network compiled at its first run, anew for each shape; it runs as it is where that fails.

    Not for any shape at once (``dynamic=True``): torch 2.13 fails to compile the U-Net so.
    """
    dynamo = import_module("torch._dynamo")
    dynamo.config.suppress_errors = True  # an error of the compiler is no reason to fail a job
    network.compile(dynamic=False)


def channels_last(network: torch.nn.Module) -> None:
    """Lay the weights of convolutions out channels last, as tensor cores read them; inputs follow by themselves."""
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        elif parameter.dim() == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
