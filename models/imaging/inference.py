"""Class probabilities of a whole prepared volume, averaged over mirrored copies."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from models.contracts import FloatArray

Probabilities = npt.NDArray[np.float32]


def _padding(shape: tuple[int, ...], multiple: int) -> list[int]:
    """Padding for :func:`torch.nn.functional.pad` (last axis first), split evenly, to multiples of ``multiple``."""
    padding: list[int] = []
    for length in reversed(shape):
        missing = max(math.ceil(length / multiple), 2) * multiple - length
        padding += [missing // 2, missing - missing // 2]
    return padding


def class_probabilities(
    network: torch.nn.Module, array: FloatArray, multiple: int, device: torch.device
) -> Probabilities:
    """Mean softmax over the volume and its mirror image across the last axis (left and right).

    Parameters
    ----------
    network
        In evaluation mode; ``[batch, 1, z, y, x]`` to logits ``[batch, classes, z, y, x]``.
    array
        ``[z, y, x]`` normalised.
    multiple
        Lengths are padded to multiples of this, and to two of them at least, repeating the border.

    Returns
    -------
    numpy.ndarray
        ``[class, z, y, x]`` float32 on the grid of ``array``.
    """
    image = torch.from_numpy(np.ascontiguousarray(array))[None, None].to(device)
    padding = _padding(array.shape, multiple)
    with torch.inference_mode():
        padded = functional.pad(image, padding, mode="replicate")
        straight = torch.softmax(network(padded).float(), 1)
        mirrored = torch.softmax(network(padded.flip(-1)).float(), 1).flip(-1)
        mean = ((straight + mirrored) / 2)[0].cpu().numpy()
    before = padding[-2::-2]
    inside = tuple(slice(first, first + length) for first, length in zip(before, array.shape, strict=True))
    found: Probabilities = np.ascontiguousarray(mean[(slice(None), *inside)], dtype=np.float32)
    return found
