"""Random changes of shape and intensity, applied to patches of ``[z, y, x]`` volumes while training.

All randomness comes from the generator that is passed, so a seed fixes the whole training.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Strength of each change.

    Parameters
    ----------
    rotation_deg
        Largest rotation about each axis.
    scale
        Relative change of size, per axis, at most.
    shift
        Voxels by which a patch may leave the volume.
    elastic
        Standard deviation, in voxels, of displacements on a coarse grid of control points.
    flip_last
        Whether the last axis (left and right) is mirrored half of the time.
    """

    rotation_deg: float = 15.0
    scale: float = 0.15
    shift: float = 2.0
    elastic: float = 1.0
    flip_last: bool = True


def _uniform(generator: torch.Generator, count: int, low: float, high: float) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _rotation(angles: Tensor) -> Tensor:
    """Product of the rotations about the three axes; ``angles`` in radians, ``[3]``; result 3x3."""
    matrix = torch.eye(3)
    for axis in range(3):
        cos, sin = torch.cos(angles[axis]), torch.sin(angles[axis])
        first, second = [other for other in range(3) if other != axis]
        turn = torch.eye(3)
        turn[first, first] = turn[second, second] = cos
        turn[first, second], turn[second, first] = -sin, sin
        matrix = matrix @ turn
    return matrix


def _patch_points(size: tuple[int, int, int]) -> Tensor:
    """Voxel offsets from the patch's centre, ``[z, y, x, 3]`` in the order z, y, x."""
    axes = [torch.arange(length, dtype=torch.float32) - (length - 1) / 2 for length in size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def _elastic(size: tuple[int, int, int], deviation: float, generator: torch.Generator) -> Tensor:
    """Smooth random displacement ``[z, y, x, 3]`` in voxels, from 5x6x5 control points."""
    control = torch.randn(1, 3, 5, 6, 5, generator=generator) * deviation
    dense = functional.interpolate(control, size=size, mode="trilinear", align_corners=True)
    return dense[0].permute(1, 2, 3, 0)


def sample_patch(
    image: Tensor, onehot: Tensor, size: tuple[int, int, int], settings: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Cut one randomly placed, turned, scaled and bent patch.

    Parameters
    ----------
    image
        ``[z, y, x]`` float32, normalised.
    onehot
        ``[classes, z, y, x]`` float32.

    Returns
    -------
    patch, labels
        ``[1, *size]`` float32 and ``[1, *size]`` int64.
    """
    shape = torch.tensor(image.shape, dtype=torch.float32)
    room = (shape - torch.tensor(size)).abs() / 2 + settings.shift
    centre = (shape - 1) / 2 + (torch.rand(3, generator=generator) * 2 - 1) * room
    limit = torch.deg2rad(torch.tensor(settings.rotation_deg)).item()
    matrix = _rotation(_uniform(generator, 3, -limit, limit)) @ torch.diag(
        1 + _uniform(generator, 3, -settings.scale, settings.scale)
    )
    points = _patch_points(size) @ matrix.T + centre
    if settings.elastic > 0:
        points = points + _elastic(size, settings.elastic, generator)
    grid = (points / (shape - 1) * 2 - 1).flip(-1)[None]
    patch = functional.grid_sample(image[None, None], grid, padding_mode="border", align_corners=True)[0]
    labels = functional.grid_sample(onehot[None], grid, padding_mode="border", align_corners=True)[0].argmax(0)[None]
    if settings.flip_last and torch.rand(1, generator=generator).item() < 0.5:
        patch, labels = patch.flip(-1), labels.flip(-1)
    return change_intensity(patch, generator), labels


def change_intensity(patch: Tensor, generator: torch.Generator) -> Tensor:
    """Randomly change contrast, brightness, gamma, sharpness and noise of a normalised patch ``[1, z, y, x]``."""
    chance = torch.rand(4, generator=generator)
    gain, offset, gamma, noise = (_uniform(generator, 1, *bounds).item() for bounds in _INTENSITY_BOUNDS)
    patch = patch * gain + offset
    if chance[0] < 0.4:
        low, high = patch.amin(), patch.amax()
        span = (high - low).clamp_min(1e-6)
        patch = ((patch - low) / span) ** gamma * span + low
    if chance[1] < 0.2:
        patch = functional.avg_pool3d(patch[None], 3, stride=1, padding=1, count_include_pad=False)[0]
    if chance[2] < 0.15:
        coarse = functional.interpolate(patch[None], scale_factor=0.6, mode="trilinear", align_corners=False)
        patch = functional.interpolate(coarse, size=patch.shape[1:], mode="trilinear", align_corners=False)[0]
    if chance[3] < 0.4:
        patch = patch + torch.randn(patch.shape, generator=generator) * noise
    return patch


#: Lowest and highest gain, offset (in deviations), gamma and noise (in deviations).
_INTENSITY_BOUNDS = ((0.75, 1.3), (-0.3, 0.3), (0.6, 1.6), (0.0, 0.25))
