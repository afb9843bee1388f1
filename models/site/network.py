"""A model of the site that is a network: prepare, infer in windows, bring back, state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from models.contracts import ModelCard, ModelError, Prediction, Radiograph, Source, UnusableOutput, Volume
from models.running.memory import is_out_of_memory
from models.running.tiles import TileShape, over_tiles
from models.site import answers, drawing
from models.site.answers import Boxes
from models.site.base import SiteModel
from models.site.card import SiteCard
from models.site.checks import check
from models.site.steps import Step, prepare
from models.site.working import Working, of_radiograph, of_volume

Tensor = torch.Tensor

#: What a loaded file is: ``[1, channel, axis...]`` to logits ``[1, class, ...]``, or to boxes.
Forward = Callable[[Tensor], Any]


class NetworkModel(SiteModel):
    """The model of the catalogue.

    Parameters
    ----------
    forward
        With its weights, on ``device``, not training.
    card, registered
        The site's card, and the catalogue's.
    steps
        Preparation.
    device
        Where ``forward`` runs.
    columns_first
        Whether pictures go in as ``[column, row]``, as bundles expect them.
    """

    def __init__(
        self,
        forward: Forward,
        card: SiteCard,
        registered: ModelCard,
        steps: tuple[Step, ...],
        device: torch.device,
        *,
        columns_first: bool = False,
    ) -> None:
        self._forward = forward
        super().__init__(card, registered)
        self._steps = steps
        self._device = device
        self._columns_first = columns_first

    def predict(self, source: Source) -> Prediction:
        """Infer.

        Raises
        ------
        InputDeclined
            If :meth:`check` does.
        UnusableOutput
            If the network's numbers are not what its card says.
        ModelError
            If the network cannot take what the card's preparation gives.
        """
        found = check(source, self._site, self._card.requirements)
        image = self.prepared(found)
        raw, warning = self._run(image)
        said = self._said(raw, image)
        return replace(said, warnings=(*said.warnings, warning)) if warning else said

    def _said(self, raw: Any, image: Working) -> Prediction:
        """Turn the network's answer into findings."""
        task = self._site.engine.task
        if task == "detection":
            return answers.detected(as_boxes(raw), image, self._site, self._known)
        numbers = as_array(raw)
        if task == "segmentation":
            said = drawing.drawn(numbers, image, self._site, self._known)
        elif task == "regression":
            said = answers.measured(numbers, self._known)
        else:
            said = answers.classified(numbers, self._site, self._known)
        answers.check_named(len(numbers), self._site, self._known)
        return said

    def prepared(self, source: Volume | Radiograph) -> Working:
        """The image as the network gets it."""
        if isinstance(source, Volume):
            image = of_volume(source)
        else:
            image = of_radiograph(source, columns_first=self._columns_first)
        try:
            return prepare(image, self._steps)
        except ValueError as error:
            raise ModelError(f"the card's preparation does not fit this image: {error}") from error

    def _run(self, image: Working) -> tuple[Any, str]:
        """Give the network's answer, and a sentence where memory was short."""
        tensor = torch.from_numpy(image.array)[None].to(self._device)
        try:
            with torch.inference_mode():
                window = self._site.engine.window
                return self._windowed(tensor, window) if window else (self._forward(tensor), "")
        except (RuntimeError, ValueError, TypeError, IndexError, torch.jit.Error) as error:
            if is_out_of_memory(error):
                raise  # the runtime tries again with less
            shape = " x ".join(str(length) for length in tensor.shape)
            raise ModelError(
                f"the network does not take an input of {shape} ({type(error).__name__}): "
                "compare the card's [input] with what it was trained on"
            ) from error

    def _windowed(self, tensor: Tensor, window: tuple[int, ...]) -> tuple[Tensor, str]:
        """Slide the window over the image, overlapping; a smaller one where memory is short."""
        engine = self._site.engine
        shape = TileShape(
            window, engine.overlap, engine.window_batch, blend=engine.blend, padding=engine.window_padding
        )
        found = over_tiles(lambda part: _first(self._forward(part)), tensor, shape)
        return found.values, found.warning


def _first(raw: Any) -> Any:
    """The main answer of networks that give several (deep supervision) in a list or a dictionary."""
    if isinstance(raw, list | tuple) and raw:
        return raw[0]
    return next(iter(raw.values())) if isinstance(raw, dict) and raw else raw


def as_array(raw: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The answer as an array without its batch axis."""
    value = _first(raw)
    if isinstance(value, torch.Tensor):
        value = _numbers(value)
    if not isinstance(value, np.ndarray) or value.ndim < 1 or value.shape[0] != 1 or value.dtype.kind not in "fiub":
        raise UnusableOutput("the model's answer is not one array for one image")
    return np.asarray(value[0], dtype=np.float32)


def as_boxes(raw: Any) -> Boxes:
    """The answer as boxes.

    Understood are a dictionary (or a list of one) with the keys of MONAI's detectors or torchvision's, and three
    arrays: boxes, labels, scores; boxes are ``[n, 6]``, lowest corner and highest corner.
    """
    value = raw[0] if isinstance(raw, list | tuple) and len(raw) == 1 else raw
    if isinstance(value, dict):
        parts = [_key(value, names) for names in (("box", "boxes"), ("label", "labels"), SCORE_KEYS)]
    elif isinstance(value, list | tuple) and len(value) == 3:
        parts = list(value)
    else:
        raise UnusableOutput("the model's answer is no boxes, labels and scores")
    boxes, labels, scores = (_plain(part) for part in parts)
    if boxes.size and boxes.shape[-1] != 6:
        raise UnusableOutput(f"the model's boxes have {boxes.shape[-1]} numbers each; a box in a volume has 6")
    return Boxes(
        boxes.astype(np.float64).reshape(-1, 6) if boxes.size else np.zeros((0, 6)),
        labels.astype(np.int64).reshape(-1),
        scores.astype(np.float64).reshape(-1),
    )


def _numbers(tensor: Tensor) -> np.ndarray[Any, Any]:
    """A tensor's numbers; sparse, quantized and complex ones are none."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
        raise UnusableOutput("the model's answer is not made of plain numbers")
    found: np.ndarray[Any, Any] = tensor.detach().float().cpu().numpy()
    return found


SCORE_KEYS = ("label_scores", "box_scores", "scores")


def _key(value: dict[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        if name in value:
            return value[name]
    raise UnusableOutput(f"the model's answer lacks {' or '.join(names)}")


def _plain(part: Any) -> np.ndarray[Any, Any]:
    try:
        found = _numbers(part) if isinstance(part, torch.Tensor) else np.asarray(part)
    except ValueError as error:
        raise UnusableOutput("the model gave boxes that are none") from error
    if found.dtype.kind not in "fiub" or (found.size and not np.isfinite(found).all()):
        raise UnusableOutput("the model gave boxes that are none")
    return found
