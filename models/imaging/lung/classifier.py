"""Scores of candidates by the network, and the detections that are left of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from models.imaging.lung.candidates import Candidate
from models.imaging.lung.grid import Working
from models.imaging.lung.patches import describe, extract

#: Candidates at once.
BATCH = 64

#: So many of the best candidates are looked at in all eight mirror images, whose mean logit counts.
LOOKED_AT_TWICE = 40

#: Mirror images: axes of ``[n, 2, z, y, x]`` that are reversed.
MIRRORED: tuple[tuple[int, ...], ...] = ((2,), (3,), (4,), (2, 3), (2, 4), (3, 4), (2, 3, 4))

#: Detections nearer than this (or than the radius of the surer one) are the same, in mm.
LEAST_APART_MM = 5.0


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with its logit, and how much the logit differs between mirror images (standard deviation)."""

    candidate: Candidate
    logit: float
    spread: float = 0.0


def score(
    network: torch.nn.Module, working: Working, candidates: Sequence[Candidate], device: torch.device
) -> list[Scored]:
    """Score candidates; the surest first."""
    if not candidates:
        return []
    patches, extra = extract(working, candidates), describe(candidates)
    logits = _logits(network, patches, extra, device)
    order = [int(i) for i in np.argsort(-logits, kind="stable")]
    best = order[:LOOKED_AT_TWICE]
    views = [_logits(network, np.flip(patches[best], axes), extra[best], device) for axes in MIRRORED]
    stacked = np.stack([logits[best], *views])
    means, spreads = stacked.mean(0), stacked.std(0)
    found = [Scored(candidates[i], float(m), float(s)) for i, m, s in zip(best, means, spreads, strict=True)]
    lowest = min(item.logit for item in found)
    rest = [Scored(candidates[i], min(float(logits[i]), lowest)) for i in order[LOOKED_AT_TWICE:]]
    return sorted(found, key=lambda item: -item.logit) + rest


def _logits(
    network: torch.nn.Module,
    patches: npt.NDArray[np.float16],
    extra: npt.NDArray[np.float32],
    device: torch.device,
) -> npt.NDArray[np.float64]:
    parts = []
    with torch.inference_mode():
        for start in range(0, len(patches), BATCH):
            cubes = torch.from_numpy(patches[start : start + BATCH].astype(np.float32)).to(device)
            numbers = torch.from_numpy(extra[start : start + BATCH]).to(device)
            parts.append(network(cubes, numbers).float().cpu().numpy())
    return np.concatenate(parts).astype(np.float64)


def apart(scored: Sequence[Scored], working: Working) -> list[Scored]:
    """Leave out candidates that are the same place as a surer one."""
    places = working.to_patient([item.candidate.index for item in scored]) if scored else np.empty((0, 3))
    free = np.ones(len(scored), dtype=bool)
    kept = []
    for number, item in enumerate(scored):
        if free[number]:
            kept.append(item)
            near = max(item.candidate.diameter / 2, LEAST_APART_MM)
            free &= np.linalg.norm(places - places[number], axis=1) >= near
    return kept
