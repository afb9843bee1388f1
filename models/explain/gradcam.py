"""Gradient-weighted class activation maps (Grad-CAM) of any convolutional network.

Source: Selvaraju RR et al. Grad-CAM: visual explanations from deep networks via gradient-based localization. Int J
Comput Vis 2020;128:336-359, equations 1 and 2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Tensor = torch.Tensor


def grad_cam(
    network: torch.nn.Module, layer: torch.nn.Module, inputs: Tensor, score: Callable[[Tensor], Tensor]
) -> Tensor:
    """Where a network looked: the maps of a layer, weighted by the mean gradient of a score.

    Parameters
    ----------
    network
        In evaluation mode; takes ``inputs``.
    layer
        Part of the network whose output is ``[batch, channel, ...]``, such as the last convolutional stage.
    inputs
        ``[batch, channel, ...]``.
    score
        Of the network's output, one number for each of the batch, ``[batch]``: what is to be explained.

    Returns
    -------
    torch.Tensor
        ``[batch, ...]`` on the grid of the layer: what raises the score, at least 0 and not scaled (see
        :func:`to_unit`). The parameters' gradients are left as they were.
    """
    kept: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    try:
        with torch.inference_mode(False), torch.enable_grad():  # whatever the caller has switched off
            wanted = score(network(inputs.clone().detach().requires_grad_())).sum()
            [maps] = kept
            [gradient] = torch.autograd.grad(wanted, maps)
    finally:
        hook.remove()
    weights = gradient.flatten(2).mean(2).reshape(*maps.shape[:2], *([1] * (maps.dim() - 2)))
    return (weights * maps).sum(1).relu().detach()


def to_unit(maps: Tensor) -> Tensor:
    """Divide each map of a batch by its highest value; a map of zeros stays one."""
    highest = maps.flatten(1).amax(1).clamp_min(torch.finfo(maps.dtype).tiny)
    return maps / highest.reshape(-1, *([1] * (maps.dim() - 1)))
