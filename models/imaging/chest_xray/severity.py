"""Severe course of COVID-19 from a chest radiograph and laboratory values, by late fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit
from torch import nn

from models.checks import check_record
from models.codes import NO_UNITS, PROBABILITY
from models.contracts import (
    Contribution,
    Finding,
    InputDeclined,
    Measurement,
    ModelCard,
    Prediction,
    Radiograph,
    Source,
    WeightsError,
)
from models.explain.gradcam import grad_cam, to_unit
from models.imaging.chest_xray.heads import RESAMPLES, Heads, Parts
from models.imaging.chest_xray.labs import LABS, as_logs, latest
from models.imaging.chest_xray.network import WIDTHS, ChestNetwork, Ensemble
from models.imaging.chest_xray.pneumonia import MEMBERS
from models.imaging.chest_xray.reading import Batch, activation_map, read
from models.imaging.chest_xray.scope import Scope, read_limits, reason
from models.imaging.chest_xray.terms import ADULT_YEARS, SEVERE_COURSE
from models.shipped import ShippedBatch, restore

BATCH = 16

#: The interval holds this part of the answers of the resampled fits.
CONFIDENCE = 0.9

INTERVAL = "fits of the heads on patients drawn with replacement"
ONLY_COVID = (
    "This answer is meant for patients with COVID-19 only; the model does not know whether this patient has it."
)
UNPROVEN = (
    "It was not shown to be better than chance for patients who are not yet in intensive care, nor better than knowing "
    "the view alone."
)
NO_LABS = "None of the laboratory values that the model reads is known for this time: the answer is of the image alone."

Tensor = torch.Tensor


class SeverityNetwork(nn.Module):
    """The trunks and the scope of the pneumonia model, with heads of its own."""

    def __init__(self, members: int = MEMBERS, widths: tuple[int, ...] = WIDTHS, resamples: int = RESAMPLES) -> None:
        super().__init__()
        self.ensemble = Ensemble(members, widths)
        self.scope = Scope(widths)
        self.heads = Heads(members * widths[-1], len(LABS), resamples)

    def features(self, pictures: Tensor) -> Tensor:
        """``[batch, 1, 28, 28]`` to the members' features, the mean with the mirror image, ``[batch, channel]``."""
        both = torch.cat([pictures, pictures.flip(-1)])
        straight, mirrored = torch.cat([member.features(both) for member in self.ensemble.networks], 1).chunk(2)
        return (straight + mirrored) / 2

    def looked(self, pictures: Tensor) -> Tensor:
        """Where the image's head looked: Grad-CAM of its logit, summed over the members, ``[batch, 7, 7]``."""
        width = self.heads.image.shape[1] // len(self.ensemble.networks)
        found = []
        for number, member in enumerate(self.ensemble.networks):
            weights = self.heads.image[0, number * width : (number + 1) * width]
            for view in (pictures, pictures.flip(-1)):
                maps = grad_cam(_Features(member), member.trunk, view, lambda output, w=weights: output @ w)  # type: ignore[misc]
                found.append(maps if view is pictures else maps.flip(-1))
        return to_unit(torch.stack(found).sum(0))


class _Features(nn.Module):
    """A network that stops at its features."""

    batch = BATCH

    def __init__(self, network: ChestNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        return self.network.features(pictures)


@dataclass(frozen=True, slots=True)
class _Answer:
    """Probability with its interval."""

    value: float
    low: float
    high: float


class SeverityModel(ShippedBatch):
    """The model of the catalogue; made by :func:`load`.

    Parameters
    ----------
    network
        With its weights, on ``device``.
    card
        Names requirements, and in ``metrics`` ``threshold``, ``scope_limits``, ``patients`` and ``proven``.
    """

    def __init__(self, network: SeverityNetwork, card: ModelCard, device: torch.device) -> None:
        self._network = network.eval()
        super().__init__(card, device)
        self._limits = read_limits(card.metrics)
        if not {"threshold", "patients", "proven"} <= card.metrics.keys():
            raise WeightsError("the model card must give threshold, patients and proven")

    def check(self, source: Source) -> None:
        """Raise :class:`~models.contracts.InputDeclined`, with the reason, for what is unsuitable or out of scope."""
        self._within([source])

    def predict_many(self, sources: Sequence[Source]) -> list[Prediction]:
        """Answer several radiographs, each with the laboratory values of its patient, at once.

        Returns
        -------
        list of Prediction
            One finding, ``present`` at or above the threshold, with the probability and the interval of the resampled
            fits; a map of where the image's head looked; the contribution of each laboratory value; scores
            ``probability``, ``image`` and ``labs`` (logits of the heads alone), ``labs_known`` and ``out_of_scope``.

        Raises
        ------
        InputDeclined
            If :meth:`check` does for one of them.
        """
        if not sources:
            return []
        batch, shares = self._within(sources)
        values = [latest(check_record(radiograph, self._card.requirements)) for radiograph in batch.radiographs]
        heads = self._network.heads
        usual, spread = heads.usual.tolist(), heads.spread.tolist()
        logs = torch.tensor([as_logs(one, usual, spread) for one in values], device=self._device)
        known = torch.tensor([bool(one) for one in values], device=self._device)
        with torch.inference_mode():
            parts = heads(self._network.features(batch.tensor), logs, known)
            moved = heads.contributions(logs).cpu()
        looked = self._network.looked(batch.tensor)
        return [
            replace(
                self._prediction(parts, place, values[place]),
                maps=activation_map(
                    "gradcam-severe-course", "Where the network looked for a severe course", looked[place],
                    batch.pictures[place],
                ),
                contributions=contributions(values[place], moved[place].tolist()),
                scores=_scores(parts, place, len(values[place]), float(shares[place])),
            )
            for place in range(len(sources))
        ]  # fmt: skip

    def _within(self, sources: Sequence[Source]) -> tuple[Batch, Tensor]:
        """Pictures of the sources, and the largest share of a limit of each; or the reason why not."""
        batch = read(sources, self._card, self._device)
        for radiograph in batch.radiographs:
            decline_minors(radiograph)
        with torch.inference_mode():
            shares = self._limits.ratio(self._network.scope(batch.tensor)).cpu()
        for row in shares:
            if (why := reason(row)) is not None:
                raise InputDeclined(why)
        return batch, shares.amax(1)

    def _prediction(self, parts: Parts, place: int, values: Mapping[str, float]) -> Prediction:
        metrics = self._card.metrics
        finding = make_finding(
            answer(parts.answer[place]), float(metrics["threshold"]), len(values), int(metrics["patients"]),
            proven=bool(metrics["proven"]),
        )  # fmt: skip
        return Prediction((finding,), warnings=(ONLY_COVID,) if values else (ONLY_COVID, NO_LABS))


def decline_minors(radiograph: Radiograph) -> None:
    """Raise :class:`~models.contracts.InputDeclined` where the record says that the patient is no adult."""
    age = radiograph.record.age_years
    if age is not None and age < ADULT_YEARS:
        raise InputDeclined("The patient is not an adult; nothing is known of how this model answers for children.")


def answer(logits: Tensor) -> _Answer:
    """Probability by the first fit, within the interval of all of them."""
    probabilities = expit(logits.double().cpu().numpy())
    edge = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(probabilities, (edge, 100 - edge))
    value = float(probabilities[0])
    return _Answer(value, min(float(low), value), max(float(high), value))


def make_finding(found: _Answer, threshold: float, labs: int, patients: int, *, proven: bool) -> Finding:
    """State the answer with its probability, what it rests on, and whether that was shown to be worth anything."""
    present = found.value >= threshold
    measured = Measurement(
        PROBABILITY, found.value, NO_UNITS, lower=found.low, upper=found.high, confidence=CONFIDENCE, method=INTERVAL
    )
    doubt = "" if proven else f" {UNPROVEN}"
    return Finding(
        label="severe-course",
        code=SEVERE_COURSE,
        measurements=(measured,),
        confidence=found.value,
        text=f"Severe course of COVID-19 (intensive care or death): probability {found.value:.2f} "
        f"({100 * CONFIDENCE:.0f} % interval {found.low:.2f} to {found.high:.2f}), "
        f"{'at or above' if present else 'below'} the operating point of {threshold:.2f}; of the radiograph and {labs} "
        f"of {len(LABS)} laboratory values, by a model of {patients} patients of one hospital.{doubt}",
        present=present,
    )


def contributions(values: Mapping[str, float], moved: Sequence[float]) -> tuple[Contribution, ...]:
    """Contribution of each value, the strongest first; a missing one has moved nothing and comes last."""
    every = [
        Contribution(
            lab.code, weight if lab.key in values else 0.0, values.get(lab.key), lab.unit,
            "" if lab.key in values else "not known for this time",
        )
        for lab, weight in zip(LABS, moved, strict=True)
    ]  # fmt: skip
    return tuple(sorted(every, key=lambda one: (one.value is None, -abs(one.weight))))


def _scores(parts: Parts, place: int, labs: int, share: float) -> dict[str, float]:
    return {
        "probability": answer(parts.answer[place]).value,
        "image": float(parts.image[place, 0]),
        "labs": float(parts.labs[place, 0]),
        "labs_known": float(labs),
        "out_of_scope": share,
    }


def load(folder: Path, device: str = "auto") -> SeverityModel:
    """Load the model from a folder of weights, as :func:`models.shipped.restore` does; the catalogue's factory."""
    network, card, chosen = restore(SeverityNetwork(), folder, device)
    return SeverityModel(network, card, chosen)
