"""Bundles that the operator trusts: their own configuration runs, by MONAI, with whatever code it names.

That code runs as the node does and may do what the node may. It is asked for with ``trust = true`` in the card, for
bundles whose configuration is more than :mod:`models.site.bundle_values` understands.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import runtime
from models.contracts import ModelCard, ModelError, Prediction, Source, UnusableOutput, Volume
from models.site import answers, bundle, drawing
from models.site.base import SiteModel
from models.site.bundle_network import checkpoint
from models.site.bundle_transforms import short
from models.site.card import SiteCard
from models.site.checks import check
from models.site.errors import ModelRefused
from models.site.nifti import REVERSE, TURN
from models.site.onto import as_labels
from models.site.working import of_radiograph, of_volume

#: What reads and writes files: the image is given from memory, the answer is taken there.
FILES = frozenset({"LoadImage", "EnsureChannelFirst", "SaveImage"})


class TrustedModel(SiteModel):
    """The model of the catalogue: preprocessing, network, inferer and postprocessing of the bundle's configuration."""

    def __init__(self, folder: Path, card: SiteCard, registered: ModelCard, device: str) -> None:
        if card.engine.task == "detection":
            raise ModelRefused("a trusted bundle may draw, classify or measure; detection works without trust")
        super().__init__(card, registered)
        self._device = runtime.choose_device(device)
        with _importing(folder):
            parser = _parser(folder, card, self._device)
            self._prepare = _parsed(parser, "preprocessing", None)
            self._finish = _parsed(parser, "postprocessing", None)
            self._infer = _parsed(parser, "inferer", _plain)
            name = next(name for name in bundle.NETWORK_IDS if name in parser)
            network: torch.nn.Module = parser.get_parsed_content(name)
        weights = next((folder / item for item in bundle.WEIGHTS if (folder / item).is_file()), None)
        if weights is None:
            raise ModelRefused(f"the bundle has none of {', '.join(bundle.WEIGHTS)}")
        network.load_state_dict(checkpoint(weights))
        self._network = network.to(self._device).eval()

    def predict(self, source: Source) -> Prediction:
        """Infer as the bundle does.

        Raises
        ------
        InputDeclined
            If :meth:`check` does.
        ModelError
            If the bundle's code fails; its message is not repeated, for it may quote the input.
        """
        found = check(source, self._site, self._card.requirements)
        image = of_volume(found) if isinstance(found, Volume) else of_radiograph(found, columns_first=True)
        affine = TURN @ found.geometry.affine @ REVERSE if isinstance(found, Volume) else np.eye(4)
        try:
            numbers = self._run(image.array, affine)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise ModelError(f"the bundle's own code failed ({type(error).__name__})") from error
        task = self._site.engine.task
        if task == "regression":
            return answers.measured(numbers, self._known)
        if task == "classification":
            return answers.classified(numbers, self._site, self._known)
        if numbers.shape[1:] != image.size:
            raise UnusableOutput("the bundle did not bring its drawing back to the input's grid (Invertd)")
        if numbers.shape[0] > 1:
            return drawing.drawn(numbers, image, self._site, self._known)
        labels = np.ascontiguousarray(as_labels(numbers[0]).transpose())
        return drawing.described(labels, image, self._site, self._known)

    def _run(self, array: np.ndarray[Any, Any], affine: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
        from monai.data.meta_tensor import MetaTensor

        tensor = MetaTensor(torch.from_numpy(array.copy()), affine=torch.from_numpy(affine))
        data = {"image": tensor} if self._prepare is None else self._prepare({"image": tensor})
        with torch.inference_mode():
            given = data["image"][None].to(self._device)
            data["pred"] = self._infer(given, self._network)[0]
        data = data if self._finish is None else self._finish(data)
        return np.asarray(torch.as_tensor(data["pred"]).detach().float().cpu().numpy(), dtype=np.float32)


def _plain(image: torch.Tensor, network: torch.nn.Module) -> Any:
    return network(image)


def _parser(folder: Path, card: SiteCard, device: torch.device) -> Any:
    """MONAI's parser of the configuration, without what reads and writes files."""
    from monai.bundle.config_parser import ConfigParser

    values = dict(bundle.configuration(folder, card.engine.overrides).raw_values)
    values |= {"bundle_root": str(folder), "device": device}
    for name in (*bundle.PREPARATION_IDS, *bundle.FINISHING_IDS):
        part = values.get(name)
        if isinstance(part, dict) and isinstance(part.get("transforms"), list):
            kept = [item for item in part["transforms"] if short(str(item.get("_target_", ""))) not in FILES]
            values[name] = {**part, "transforms": kept}
    parser = ConfigParser(values)
    parser.parse()
    return parser


def _parsed(parser: Any, name: str, default: Any) -> Any:
    return parser.get_parsed_content(name) if name in parser else default


@contextlib.contextmanager
def _importing(folder: Path) -> Iterator[None]:
    """Let the bundle import its own ``scripts`` meanwhile; two bundles may have modules of the same names."""
    before, written = set(sys.modules), sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True  # the model's folder stays as it was imported
    try:
        yield
    finally:
        sys.dont_write_bytecode = written
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            place = getattr(sys.modules[name], "__file__", None)
            if place and Path(place).is_relative_to(folder):
                del sys.modules[name]
