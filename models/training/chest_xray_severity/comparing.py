"""Features of the image and priors of its weights, compared by cross-validation over the training patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from models import runtime
from models.contracts import FloatArray
from models.imaging.chest_xray.reading import as_tensor
from models.imaging.chest_xray.severity import SeverityNetwork
from models.training.chest_xray_severity import fusing
from models.training.chest_xray_severity.card import NAME
from models.training.chest_xray_severity.data import Case, divided, read_cases
from models.training.chest_xray_severity.trainer import judged, pixels_of, places_of, tabulate, with_trunks
from models.training.framework import comparing

Floats = npt.NDArray[np.float64]
Tensor = torch.Tensor

#: Side of the squares whose grey values are averaged, of the 28 x 28.
GREY_POOL = 2

#: Threshold of figures that need one; none of those that are compared does.
_EVEN = 0.5


@dataclass(frozen=True, slots=True)
class Variant:
    """What the image's head reads, by the names of :func:`features_of`, and the prior of its weights."""

    features: tuple[str, ...]
    prior: float = fusing.IMAGE_PRIOR


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "as_shipped": Variant(("trunks",)),
        "prior_0.1": Variant(("trunks",), 0.1),
        "prior_0.3": Variant(("trunks",), 0.3),
        "arrangement_network": Variant(("arrangement",)),
        "pneumonia_log_odds": Variant(("pneumonia",), 1.0),
        "trunks_and_arrangement_network": Variant(("trunks", "arrangement")),
        "grey_values": Variant(("grey",)),
    }
)


def features_of(network: SeverityNetwork, pixels: FloatArray, device: torch.device) -> dict[str, Floats]:
    """Give features of pictures ``[n, 28, 28]`` by what they are of, ``[n, feature]`` each.

    ``trunks``, what the image's head reads; ``arrangement``, of the network that tells how pictures are arranged;
    ``pneumonia``, the mean log-odds of the pneumonia model; ``grey``, means over squares of :data:`GREY_POOL`, not
    standardised.
    """
    pictures = as_tensor(pixels, device)
    with torch.inference_mode():
        found = {
            "trunks": network.features(pictures),
            "arrangement": network.scope.network.features(pictures),
            "pneumonia": network.ensemble(pictures).mean(1, keepdim=True),
            "grey": functional.avg_pool2d(torch.from_numpy(pixels)[:, None], GREY_POOL).flatten(1),
        }
    return {name: value.double().cpu().numpy() for name, value in found.items()}


def compare(
    data: Path, *, seed: int = 0, epochs: int | None = None, device: str = "auto", progress: bool = True
) -> dict[str, Any]:
    """Compare :data:`VARIANTS`, and the pneumonia model's log-odds as they are, in the training part.

    Parameters
    ----------
    data
        As for :func:`models.training.chest_xray_severity.train`.
    seed
        Of the divisions into folds.
    epochs
        Taken for the sake of the interface: there are none.
    """
    chosen, cases = runtime.choose_device(device), read_cases(data)
    some = [cases[place] for place in places_of(cases, divided(cases).train)]
    network = with_trunks(chosen)
    table = tabulate(network, data, some, chosen)
    features = features_of(network, pixels_of(data, some), chosen)
    ways = {name: partial(_measured, some, table, features, variant, seed) for name, variant in VARIANTS.items()}
    untouched = {"image": features["pneumonia"][:, 0]}
    return {
        "model": NAME,
        "patients": len(set(table.patients)),
        **comparing.each(ways, progress=progress),
        "pneumonia_log_odds_without_a_fit": _figures(some, {**untouched, "both": untouched["image"]}),
    }


def _measured(
    cases: list[Case], table: fusing.Table, features: Mapping[str, Floats], variant: Variant, seed: int
) -> dict[str, Any]:
    read = np.column_stack([features[name] for name in variant.features])
    return _figures(cases, fusing.out_of_fold(replace(table, features=read), seed, variant.prior))


def _figures(cases: list[Case], logits: Mapping[str, Floats]) -> dict[str, Any]:
    """AUC of all pictures, and with the severe cases of the day of the picture left out."""
    found = judged(cases, logits, _EVEN)
    return {"auc": found["auc"], "later_than_the_day": found["later_than_the_day"]}
