"""Other ways in which the same chest could have been taken: turned, nearer, mirrored, darker, collimated, blurred."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from models.imaging.chest_xray.picture import LEAST_CONTRAST

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class Strength:
    """How far a picture may be changed.

    Parameters
    ----------
    turn_deg, scale, shift
        Largest turn in degrees, change of size and shift, the latter two as parts of the side.
    gamma
        Largest exponent of the grey values; its inverse is the least.
    mirror, collimate, blur
        How often.
    noise
        Standard deviation of what is added, of grey values of 0 to 1.
    """

    turn_deg: float = 10.0
    scale: float = 0.15
    shift: float = 0.08
    gamma: float = 1.4
    mirror: float = 0.5
    collimate: float = 0.15
    blur: float = 0.3
    noise: float = 0.02


STRENGTH = Strength()


def changed(picture: Tensor, generator: torch.Generator, strength: Strength = STRENGTH) -> Tensor:
    """Change one picture ``[28, 28]`` of 0 to 1 and standardise it; gives ``[1, 28, 28]``."""
    draws = torch.rand(10, generator=generator).tolist()
    moved = _moved(picture, strength, draws)
    if draws[4] < strength.mirror:
        moved = moved.flip(-1)
    if draws[5] < strength.blur:
        moved = functional.avg_pool2d(moved[None], 3, 1, 1, count_include_pad=False)[0]
    grey = moved.clamp(0, 1) ** (strength.gamma ** (2 * draws[6] - 1))
    grey = grey + strength.noise * torch.randn(grey.shape, generator=generator)
    if draws[7] < strength.collimate:
        grey = _collimated(grey, draws[8], draws[9])
    return standard(grey)


def standard(picture: Tensor) -> Tensor:
    """Bring ``[1, 28, 28]`` to mean 0 and standard deviation 1, as for inference."""
    return (picture - picture.mean()) / picture.std(correction=0).clamp_min(LEAST_CONTRAST)


def _moved(picture: Tensor, strength: Strength, draws: list[float]) -> Tensor:
    angle = math.radians(strength.turn_deg * (2 * draws[0] - 1))
    size = 1 + strength.scale * (2 * draws[1] - 1)
    across, down = (2 * strength.shift * (2 * draw - 1) for draw in draws[2:4])
    cosine, sine = math.cos(angle) * size, math.sin(angle) * size
    turn = torch.tensor([[[cosine, -sine, across], [sine, cosine, down]]])
    grid = functional.affine_grid(turn, [1, 1, *picture.shape], align_corners=False)
    return functional.grid_sample(picture[None, None], grid, padding_mode="border", align_corners=False)[0]


def _collimated(grey: Tensor, which: float, how_far: float) -> Tensor:
    """Blacken up to an eighth of the picture at one of its edges."""
    edge, pixels = int(which * 4), 1 + int(how_far * grey.shape[-1] / 8)
    masked = torch.rot90(grey, edge, (-2, -1)).clone()
    masked[:, :pixels] = 0
    return torch.rot90(masked, -edge, (-2, -1))
