"""The two stages of the training: telling how pictures are arranged, then telling pneumonia."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.nn import functional

from models.contracts import FloatArray
from models.imaging.chest_xray.network import WIDTHS, ChestNetwork
from models.imaging.chest_xray.reading import as_tensor
from models.imaging.chest_xray.scope import ARRANGEMENTS, arranged
from models.runtime import named_tensors
from models.training.chest_xray_pneumonia.augmentation import changed
from models.training.chest_xray_pneumonia.data import Pictures
from models.training.framework.fit import FitSettings, Fitted, fit, seeded
from models.training.framework.losses import weighted_bce
from models.training.framework.metrics import auc
from models.training.framework.transfer import load_matching

Tensor = torch.Tensor

ARRANGING = FitSettings(epochs=10, batch=64, learning_rate=2e-3, monitor="loss_validation", mode="min")
TELLING = FitSettings(epochs=14, batch=64, learning_rate=1e-3, monitor="loss_validation", mode="min")

#: Share of the target that is moved to one half, so that the networks do not become surer than they can be.
SMOOTHING = 0.05


@dataclass(frozen=True, eq=False)
class Arranged:
    """Pictures that are turned and inverted at random; the arrangement is what is to be told."""

    pixels: FloatArray
    labels: None = None

    def __len__(self) -> int:
        """Give the number of pictures."""
        return len(self.pixels)

    def item(self, index: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        """One picture, changed, in one of the arrangements."""
        arrangement = int(torch.randint(ARRANGEMENTS, (), generator=generator))
        picture = changed(torch.from_numpy(self.pixels[index]), generator)
        return {"input": arranged(picture, arrangement), "target": torch.tensor(arrangement)}


@dataclass(frozen=True, eq=False)
class Told:
    """Labelled pictures, changed at random."""

    pictures: Pictures

    @property
    def labels(self) -> Sequence[int]:
        """Class of each picture."""
        return self.pictures.labels

    def __len__(self) -> int:
        """Give the number of pictures."""
        return len(self.pictures)

    def item(self, index: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        """One picture with its label."""
        picture = changed(torch.from_numpy(self.pictures.pixels[index]), generator)
        return {"input": picture, "target": torch.tensor(float(self.pictures.labels[index]))}


def tell_arrangement(
    pixels: FloatArray, validation: FloatArray, out: Path, device: torch.device, *, seed: int, epochs: int | None,
    widths: tuple[int, ...] = WIDTHS, progress: bool = False,
) -> Fitted:  # fmt: skip
    """Train a network to tell the eight arrangements: labels that cost nothing (Gidaris S et al. ICLR 2018)."""
    seeded(seed)
    network = ChestNetwork(ARRANGEMENTS, widths)
    seen = as_tensor(validation, device)

    def validate(judged: torch.nn.Module) -> Mapping[str, float]:
        losses, hits = [], []
        for arrangement in range(ARRANGEMENTS):
            logits = judged(arranged(seen, arrangement))
            target = torch.full((len(seen),), arrangement, device=device)
            losses.append(functional.cross_entropy(logits, target))
            hits.append((logits.argmax(1) == arrangement).float().mean())
        return {"loss_validation": float(torch.stack(losses).mean()), "accuracy": float(torch.stack(hits).mean())}

    return fit(
        network, Arranged(pixels), lambda logits, batch: functional.cross_entropy(logits, batch["target"]), validate,
        _settings(ARRANGING, seed, epochs), out, device, progress=progress,
    )  # fmt: skip


def tell_pneumonia(
    train: Pictures, validation: Pictures, start: ChestNetwork | None, out: Path, device: torch.device, *, seed: int,
    epochs: int | None, widths: tuple[int, ...] = WIDTHS, progress: bool = False,
) -> Fitted:  # fmt: skip
    """Train one member.

    Parameters
    ----------
    start
        Network whose trunk it starts from; None starts from nothing.
    """
    seeded(seed)
    network = ChestNetwork(1, widths)
    if start is not None:
        load_matching(network.trunk, named_tensors(start.trunk))
    seen, truth = as_tensor(validation.pixels, device), torch.tensor(validation.labels, device=device)

    def validate(judged: torch.nn.Module) -> Mapping[str, float]:
        logits = judged(seen)[:, 0]
        return {
            "loss_validation": float(functional.binary_cross_entropy_with_logits(logits, truth.float())),
            "auc": auc(truth.cpu().numpy(), logits.cpu().numpy()),
        }

    return fit(
        network, Told(train),
        lambda logits, batch: weighted_bce(logits[:, 0], batch["target"], smoothing=SMOOTHING), validate,
        _settings(TELLING, seed, epochs), out, device, progress=progress,
    )  # fmt: skip


def _settings(usual: FitSettings, seed: int, epochs: int | None) -> FitSettings:
    return replace(usual, seed=seed, epochs=epochs or usual.epochs)
