"""Radiographs, checked and as one batch; the same for all chest models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from models.checks import check_radiograph
from models.codes import GRADIENT_CLASS_ACTIVATION, NO_UNITS
from models.contracts import FloatArray, InputDeclined, ModelCard, Radiograph, ScalarMap, Source
from models.explain.gradcam import grad_cam, to_unit
from models.imaging.chest_xray.network import Ensemble
from models.imaging.chest_xray.picture import Picture, has_contrast, prepare, spread, standardised

Tensor = torch.Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """Radiographs with the pictures that the network gets.

    Parameters
    ----------
    radiographs, pictures
        As many of each.
    tensor
        ``[n, 1, 28, 28]`` standardised, on the device.
    """

    radiographs: tuple[Radiograph, ...]
    pictures: tuple[Picture, ...]
    tensor: Tensor


def read(sources: Sequence[Source], card: ModelCard, device: torch.device) -> Batch:
    """Check sources against the card and make their pictures.

    Raises
    ------
    InputDeclined
        If one is not what the card asks for, or shows nothing.
    """
    radiographs = tuple(check_radiograph(source, card.requirements) for source in sources)
    pictures = tuple(prepare(radiograph.array) for radiograph in radiographs)
    if not all(map(has_contrast, pictures)):
        raise InputDeclined("The middle of the image has no contrast: there is nothing to see in it.")
    return Batch(radiographs, pictures, as_tensor(np.stack([picture.pixels for picture in pictures]), device))


def as_tensor(pixels: FloatArray, device: torch.device) -> Tensor:
    """Pictures ``[n, 28, 28]``, 0 to 1, to the network's input ``[n, 1, 28, 28]``."""
    return torch.from_numpy(standardised(pixels))[:, None].to(device)


def activation(members: Ensemble, pictures: Tensor) -> Tensor:
    """Where the members looked: the mean of their Grad-CAM maps and of those of the mirror images, ``[n, 7, 7]``."""
    found = []
    for member in members.networks:
        for view in (pictures, pictures.flip(-1)):
            maps = to_unit(grad_cam(member, member.trunk, view, lambda logits: logits[:, 0]))
            found.append(maps if view is pictures else maps.flip(-1))
    return to_unit(torch.stack(found).mean(0))


def activation_map(label: str, name: str, small: Tensor, picture: Picture) -> tuple[ScalarMap, ...]:
    """Make a map on the radiograph's grid; nothing where the network found nothing that speaks for the answer."""
    if not bool(small.any()):
        return ()
    array = spread(small.cpu().numpy(), picture)
    return (ScalarMap(label, name, GRADIENT_CLASS_ACTIVATION, NO_UNITS, array),)
