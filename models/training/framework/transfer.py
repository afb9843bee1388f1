"""Starting from weights of another training: what fits is taken, what is old learns slowly or not at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch

from models.runtime import named_tensors
from models.training.framework.fit import TrainingError

Tensor = torch.Tensor


def load_matching(network: torch.nn.Module, tensors: Mapping[str, Tensor], *, prefix: str = "") -> list[str]:
    """Put those tensors into a network that fit it by name and shape.

    Parameters
    ----------
    tensors
        Such as :func:`models.runtime.read_weights` gives.
    prefix
        Taken off the names of ``tensors`` that have it, such as ``"encoder."``; those without it are left out.

    Returns
    -------
    list
        Names of the tensors of ``network`` that nothing was loaded into.

    Raises
    ------
    TrainingError
        If nothing fits: the checkpoint is of another network.
    """
    offered = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    wanted = named_tensors(network)
    fitting = [name for name in wanted if name in offered and offered[name].shape == wanted[name].shape]
    if not fitting:
        raise TrainingError(f"none of the checkpoint's {len(tensors)} tensors fits the network by name and shape")
    with torch.no_grad():
        for name in fitting:
            wanted[name].copy_(offered[name])
    return [name for name in wanted if name not in fitting]


def _within(name: str, blocks: Collection[str]) -> bool:
    return any(name == block or name.startswith(f"{block}.") for block in blocks)


def freeze(network: torch.nn.Module, names: Collection[str]) -> int:
    """Exclude parameters from training.

    Parameters
    ----------
    names
        Of parameters or of the blocks that hold them, such as ``{"encoder"}``.

    Returns
    -------
    int
        How many parameter tensors are frozen by this.
    """
    frozen = [parameter for name, parameter in network.named_parameters() if _within(name, names)]
    if not frozen:
        raise TrainingError(f"the network has no parameters called {', '.join(sorted(names))}")
    for parameter in frozen:
        parameter.requires_grad_(False)
    return len(frozen)


def parameter_groups(
    network: torch.nn.Module, rate: float, factor_for_loaded: float, fresh: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Make groups for the optimiser: what was loaded learns by a part of the rate.

    Parameters
    ----------
    rate
        Of what is new.
    factor_for_loaded
        By which the rate of what was loaded is multiplied, such as 0.1.
    fresh
        Names of what is new, such as :func:`load_matching` returns, or of the blocks that hold it.
    """
    groups: tuple[list[Tensor], list[Tensor]] = ([], [])
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups[0 if _within(name, fresh) else 1].append(parameter)
    rates = (rate, rate * factor_for_loaded)
    return [{"params": group, "lr": lr} for group, lr in zip(groups, rates, strict=True) if group]
