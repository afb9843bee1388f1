"""What the scope learns of the training pictures, its limits, and what it lets through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from models.contracts import FloatArray
from models.imaging.chest_xray.picture import prepare
from models.imaging.chest_xray.reading import as_tensor
from models.imaging.chest_xray.scope import ARRANGEMENTS, QUESTIONS, Limits, Scope, arranged

Tensor = torch.Tensor

#: Part of the mean variance that is added to every direction of the features: some hardly vary in the training set.
SHRINKAGE = 0.05

#: Part of the validation pictures that one question may put out of scope.
DECLINED = 0.01

#: Pictures of each generated kind that the scope is tried on.
TRIED = 100

#: Rows and columns of generated pictures, before they are reduced as a radiograph is.
GENERATED = 224


def learn(scope: Scope, pixels: FloatArray, device: torch.device) -> None:
    """Take the training pictures' mean, spread and principal components into a scope whose network is trained."""
    pictures = as_tensor(pixels, device)
    with torch.inference_mode():
        features = scope.network.features(pictures).double().cpu()
    scope.centre.copy_(features.mean(0))
    scope.whitening.copy_(whitening(features))
    flat = pictures.flatten(1).double().cpu()
    usual = flat.mean(0)
    _, _, axes = torch.linalg.svd(flat - usual, full_matrices=False)
    scope.usual.copy_(usual)
    wanted = axes[: len(scope.components)]
    scope.components.zero_()
    scope.components[: len(wanted)].copy_(wanted)


def whitening(features: Tensor) -> Tensor:
    """Give ``[channel, channel]``: the matrix after which the features' covariance, a little widened, is one."""
    covariance = torch.cov(features.T)
    covariance = covariance + SHRINKAGE * covariance.diagonal().mean() * torch.eye(len(covariance)).double()
    values, vectors = torch.linalg.eigh(covariance)
    found: Tensor = vectors @ torch.diag(values.clamp_min(1e-12).rsqrt()) @ vectors.T
    return found


def find_limits(scope: Scope, pixels: FloatArray, device: torch.device) -> dict[str, float]:
    """Limit of each question: what :data:`DECLINED` of the validation pictures exceed."""
    with torch.inference_mode():
        numbers = scope(as_tensor(pixels, device)).cpu().numpy()
    limits = np.quantile(numbers, 1 - DECLINED, axis=0, method="higher")
    return {name: round(float(limit), 4) for name, limit in zip(QUESTIONS, limits, strict=True)}


def declined(scope: Scope, limits: Limits, pictures: Tensor) -> float:
    """Share of standardised pictures ``[n, 1, 28, 28]`` that are out of scope."""
    with torch.inference_mode():
        shares = limits.ratio(scope(pictures)).amax(1)
    return round(float((shares > 1).float().mean()), 5)


def measure(scope: Scope, limits: Limits, held_out: FloatArray, device: torch.device) -> dict[str, Any]:
    """Share that is declined of held-out pictures as they are, of the same turned and inverted, and of other things."""
    pictures = as_tensor(held_out, device)
    by_arrangement = {
        f"turned_{90 * (number % 4)}{'_inverted' if number >= 4 else ''}": declined(
            scope, limits, arranged(pictures, number)
        )
        for number in range(1, ARRANGEMENTS)
    }
    strange = {
        name: declined(scope, limits, as_tensor(pixels, device)) for name, pixels in generated(TRIED, seed=0).items()
    }
    return {
        "held_out": declined(scope, limits, pictures),
        "held_out_mirrored": declined(scope, limits, pictures.flip(-1)),
        **by_arrangement,
        **strange,
    }


def generated(count: int, seed: int) -> Mapping[str, FloatArray]:
    """Pictures of things that are no chest, ``[count, 28, 28]`` of each kind."""
    rng = np.random.default_rng(seed)
    return {
        name: np.stack([prepare(draw(rng)).pixels for _ in range(count)])
        for name, draw in {"noise": _noise, "ramps": _ramp, "hands": _hand, "skulls": _skull, "limbs": _limb}.items()
    }


def _grid() -> tuple[FloatArray, FloatArray]:
    """Rows and columns from -1 to 1."""
    line = np.linspace(-1, 1, GENERATED, dtype=np.float32)
    return line[:, None], line[None, :]


def _film(picture: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Add the noise of a detector and keep to 0 to 1."""
    found: FloatArray = np.clip(picture + rng.normal(0, 0.03, picture.shape), 0, 1).astype(np.float32)
    return found


def _noise(rng: np.random.Generator) -> FloatArray:
    return rng.random((GENERATED, GENERATED), dtype=np.float32)


def _ramp(rng: np.random.Generator) -> FloatArray:
    y, x = _grid()
    angle = rng.uniform(0, 2 * np.pi)
    return _film(0.5 + 0.35 * (np.cos(angle) * x + np.sin(angle) * y), rng)


def _bar(y: FloatArray, x: FloatArray, tip: tuple[float, float], root: tuple[float, float], width: float) -> FloatArray:
    """1 within ``width`` of the line from ``root`` to ``tip``, each ``(x, y)``, softly ending."""
    (ax, ay), (bx, by) = root, tip
    length = max((bx - ax) ** 2 + (by - ay) ** 2, 1e-6)
    along = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length, 0, 1)
    off = np.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay))
    bar: FloatArray = np.clip((width - off) / 0.03, 0, 1).astype(np.float32)
    return bar


def _hand(rng: np.random.Generator) -> FloatArray:
    y, x = _grid()
    picture = np.clip((0.45 - np.hypot(x, y - 0.35)) / 0.05, 0, 1) * 0.5
    for angle in np.linspace(-0.7, 0.7, 5) + rng.normal(0, 0.05, 5):
        root = (0.35 * np.sin(angle), 0.35 - 0.35 * np.cos(angle))
        tip = (1.1 * np.sin(angle), 0.35 - rng.uniform(0.9, 1.2) * np.cos(angle))
        soft, bone = _bar(y, x, tip, root, 0.1), _bar(y, x, tip, root, 0.05)
        picture = np.maximum(picture, 0.4 * soft + 0.4 * bone)
    return _film(picture.astype(np.float32), rng)


def _skull(rng: np.random.Generator) -> FloatArray:
    y, x = _grid()
    radius = np.hypot(x / rng.uniform(0.6, 0.75), (y + 0.05) / rng.uniform(0.8, 0.9))
    bone = np.exp(-(((radius - 1) / 0.07) ** 2))
    orbits = sum(np.exp(-(np.hypot(x - side * 0.25, y - 0.2) ** 2) / 0.015) for side in (-1, 1))
    return _film((0.45 * (radius < 1) + 0.5 * bone - 0.3 * orbits).astype(np.float32), rng)


def _limb(rng: np.random.Generator) -> FloatArray:
    y, x = _grid()
    lean = rng.uniform(-0.3, 0.3)
    lines = [((shift - lean, -1.2), (shift + lean, 1.2)) for shift in (-0.12, 0.12)]
    bones = sum((_bar(y, x, tip, root, 0.09) for tip, root in lines), np.zeros_like(x + y))
    soft = _bar(y, x, (-lean, -1.2), (lean, 1.2), rng.uniform(0.4, 0.55))
    return _film((0.4 * soft + 0.45 * np.minimum(bones, 1)).astype(np.float32), rng)
