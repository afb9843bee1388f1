"""Training one member of the ensemble: reconstruct first, then classify and reconstruct, and fit the linear part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from models.labs.networks import LARGEST_Z, Member
from models.training.framework.fit import Batch, FitSettings, Fitted, TrainingError, fit
from models.training.framework.losses import multi_task, weighted_bce
from models.training.framework.metrics import auc
from models.training.labs_risk.stays import StaySet, standardise

Tensor = torch.Tensor
PRETRAINING_EPOCHS = 8
EPOCHS = 25
PATIENCE = 8

#: Weight of the reconstruction beside the classification.
RECONSTRUCTION_WEIGHT = 0.3

#: Inverse strength of the linear part's penalty; chosen by cross-validation within the training part.
LINEAR_C = 0.003


def _reconstruction_loss(member: Member) -> Any:
    """Smooth absolute error of the values that were hidden, in standard deviations."""

    def loss(restored: Tensor, batch: Batch) -> Tensor:
        true = ((batch["whole"] - member.encoder.centre) / member.encoder.spread).clamp(-LARGEST_Z, LARGEST_Z)
        losses = functional.smooth_l1_loss(restored, true, reduction="none") * batch["sought"]
        return losses.sum() / batch["sought"].sum().clamp(min=1)

    return loss


def _class_loss(logit: Tensor, batch: Batch) -> Tensor:
    return weighted_bce(logit, batch["target"])


def _validate(stays: StaySet) -> Any:
    """Give AUC of the recurrent part, and the error of values that are reconstructed from the others."""

    def validate(network: torch.nn.Module) -> Mapping[str, float]:
        if not isinstance(network, Member):
            raise TrainingError("a member of the ensemble is trained here, nothing else")
        logits = network.sequence(stays.tensors)["logit"].cpu().numpy()
        return {"auc": auc(stays.labels, logits), "surprise": float(network.surprise(stays.tensors).mean())}

    return validate


def train_member(
    member: Member,
    train: StaySet,
    validation: StaySet,
    out: Path,
    device: torch.device,
    *,
    seed: int,
    epochs: int,
    progress: bool,
) -> Fitted:
    """Train one member in place.

    1. The auto-encoder learns to reconstruct hidden values.
    2. Encoder and classifier are trained together, the reconstruction going on beside; the epoch with the best AUC on
       the validation part is kept.
    3. The linear part is fitted on the summaries.
    """
    standardise(member, train)
    shared = {"batch": 64, "weight_decay": 1e-2, "ema_decay": 0.95, "seed": seed}
    rebuild = multi_task({"reconstruction": (1.0, _reconstruction_loss(member))})
    both = multi_task(
        {"logit": (1.0, _class_loss), "reconstruction": (RECONSTRUCTION_WEIGHT, _reconstruction_loss(member))}
    )
    first = FitSettings(
        max(1, round(epochs * PRETRAINING_EPOCHS / EPOCHS)),
        learning_rate=4e-3,
        monitor="surprise",
        mode="min",
        **shared,  # type: ignore[arg-type]
    )
    second = FitSettings(epochs, learning_rate=2e-3, patience=PATIENCE, **shared)  # type: ignore[arg-type]

    def forward(network: torch.nn.Module, batch: Batch) -> dict[str, Tensor]:
        if not isinstance(network, Member):
            raise TrainingError("a member of the ensemble is trained here, nothing else")
        return network.sequence(batch)

    validate = _validate(validation)
    fit(member, train, rebuild, validate, first, out / "pretraining", device, progress=progress, forward=forward)
    fitted = fit(member, train, both, validate, second, out, device, progress=progress, forward=forward)
    fit_linear(member, train)
    return fitted


def fit_linear(member: Member, train: StaySet) -> None:
    """Fit the linear part by penalised maximum likelihood, which has one solution."""
    with torch.no_grad():
        features = member.summarist.features(train.tensors["summaries"], train.tensors["statics"]).numpy()
        found = logistic_regression(features, train.labels, LINEAR_C)
        member.summarist.linear.weight.copy_(torch.from_numpy(found.coef_))
        member.summarist.linear.bias.copy_(torch.from_numpy(found.intercept_))


def logistic_regression(
    features: npt.NDArray[Any], labels: Sequence[int], inverse_penalty: float, class_weight: str | None = None
) -> Any:
    """Fit scikit-learn's logistic regression.

    Parameters
    ----------
    features, labels
        ``[n, columns]`` and ``[n]``.
    inverse_penalty
        Its C.
    class_weight
        ``"balanced"`` weighs the rarer class as much as the other one.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise TrainingError("training labs-risk needs scikit-learn: pip install 'overread[train]'") from error
    method = LogisticRegression(C=inverse_penalty, max_iter=3000, class_weight=class_weight)
    return method.fit(features, np.array(labels))
