"""A model of the site as it is kept: card, steps and digests of all files, in ``site.json`` beside them.

A new kind of engine is one entry in :data:`ENGINES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from models.contracts import InputKind, Model
from models.site import card as cards
from models.site.card import SiteCard
from models.site.errors import ModelRefused
from models.site.step_grids import Fit, Orient, Resize, Spacing
from models.site.step_values import Channels
from models.site.steps import Step


class Plan(BaseModel):
    """What is kept of a model.

    Parameters
    ----------
    card
        With what its bundle or family says filled in.
    steps
        Preparation.
    columns_first
        Whether pictures go in as ``[column, row]``.
    files
        SHA-256 by path, of all files that came with it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")
    card: SiteCard
    steps: tuple[Step, ...]
    columns_first: bool = False
    files: dict[str, str]

    def text(self) -> str:
        """JSON, which is the same for the same plan."""
        return self.model_dump_json(indent=2, by_alias=True) + "\n"


@dataclass(frozen=True, slots=True)
class Engine:
    """How a kind of model is looked at and loaded.

    Parameters
    ----------
    inspect
        Refuses what must not be loaded, without loading it.
    load
        Gives the model; raises :class:`ModelRefused` where it cannot.
    """

    inspect: Callable[[Path, SiteCard], None]
    load: Callable[[Path, Plan, Any, str], Model]


def draft(folder: Path, name: str, given: Mapping[str, Any]) -> tuple[SiteCard, tuple[Step, ...], bool]:
    """The card with what the files themselves say filled in, the steps, and whether pictures go in column first."""
    engine = given.get("engine")
    said: Mapping[str, Any] = engine if isinstance(engine, Mapping) else {}
    table, steps, columns_first = _derived(folder, said)
    whole = cards.merged(cards.merged({"model": {"name": name} if name else {}}, table), dict(given))
    card = cards.validated(SiteCard, whole, cards.CARD_NAME)
    if steps is None:
        return card, steps_of(card), card.input.axes == "xy"
    prepared = {"orientation", "spacing", "normalisation", "size"} & set(dict(given.get("input", {})))
    if prepared:
        raise ModelRefused(
            f"{cards.CARD_NAME}: input.{sorted(prepared)[0]}: a {card.engine.kind} brings its own preparation"
        )
    return card, steps, columns_first


def _derived(folder: Path, said: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Step, ...] | None, bool]:
    from models.site import bundle, densenet_cxr

    kind = str(said.get("kind", ""))
    if kind in densenet_cxr.CLASSES:
        return densenet_cxr.derived(kind), densenet_cxr.STEPS[kind], False
    if kind == "bundle" or (not kind and bundle.is_bundle(folder)):
        overrides = said.get("overrides", {})
        values = overrides if isinstance(overrides, Mapping) else {}
        table, steps = bundle.derived(folder, values, trust=said.get("trust") is True)
        return table, steps, True
    return {}, None, False


def steps_of(card: SiteCard) -> tuple[Step, ...]:
    """The steps that the card's ``[input]`` asks for: turn, resample, values, size, channels."""
    given = card.input
    steps: list[Step] = []
    if given.orientation:
        steps.append(Orient(axes=given.orientation))
    if given.spacing:
        steps.append(Spacing(mm=given.spacing))
    steps += given.normalisation
    if given.size is not None:
        by: Literal["longest", "size"] = "longest" if given.fit == "longest" else "size"
        antialias = given.kind is InputKind.RADIOGRAPH
        steps += [] if given.fit == "crop_pad" else [Resize(size=given.size, by=by, antialias=antialias)]
        steps += [] if given.fit == "resize" else [Fit(size=given.size)]
    if given.channels > 1:
        steps.append(Channels(count=given.channels))
    return tuple(steps)


def _file(folder: Path, card: SiteCard, usual: str) -> Path:
    """The engine's file; one that is not named is the only one with the usual suffix."""
    from models.site.archive import inside

    if card.engine.file:
        return inside(folder, card.engine.file)
    found = sorted(path for suffix in usual.split() for path in folder.glob(f"*{suffix}"))
    if len(found) != 1:
        raise ModelRefused(f"engine.file: name the model's file; there are {len(found)} that end in {usual}")
    return inside(folder, found[0].name)


def _network(forward: Any, plan: Plan, registered: Any, device: str) -> Model:
    from models import runtime
    from models.site.network import NetworkModel

    chosen = runtime.choose_device(device)
    loaded = forward(chosen)
    return NetworkModel(loaded, plan.card, registered, plan.steps, chosen, columns_first=plan.columns_first)


def _inspect_bundle(folder: Path, card: SiteCard) -> None:
    from models.site import bundle, torchscript

    if (folder / bundle.SCRIPT).is_file():
        torchscript.inspect(folder / bundle.SCRIPT)


def _load_bundle(folder: Path, plan: Plan, registered: Any, device: str) -> Model:
    from models.site import bundle

    if plan.card.engine.trust:
        from models.site.bundle_trusted import TrustedModel

        return TrustedModel(folder, plan.card, registered, device)
    return _network(lambda chosen: bundle.load(folder, plan.card, chosen), plan, registered, device)


def _inspect_script(folder: Path, card: SiteCard) -> None:
    from models.site import torchscript

    torchscript.inspect(_file(folder, card, ".ts .pt .pth"))


def _load_script(folder: Path, plan: Plan, registered: Any, device: str) -> Model:
    from models.site import torchscript

    path = _file(folder, plan.card, ".ts .pt .pth")
    return _network(lambda chosen: torchscript.load(path, chosen), plan, registered, device)


def _inspect_onnx(folder: Path, card: SiteCard) -> None:
    from models.site import onnx_file

    onnx_file.inspect(folder, _file(folder, card, ".onnx"))


def _load_onnx(folder: Path, plan: Plan, registered: Any, device: str) -> Model:
    from models.site import onnx_file

    path = _file(folder, plan.card, ".onnx")
    return _network(lambda chosen: onnx_file.load(folder, path, chosen), plan, registered, device)


def _inspect_command(folder: Path, card: SiteCard) -> None:
    """A command is the operator's own line; nothing is looked at."""


def _load_command(folder: Path, plan: Plan, registered: Any, device: str) -> Model:
    from models.site.command import CommandModel

    return CommandModel(plan.card, registered, folder, device)


def _inspect_densenet(folder: Path, card: SiteCard) -> None:
    _file(folder, card, ".pt .pth .tar .safetensors")


def _load_densenet(folder: Path, plan: Plan, registered: Any, device: str) -> Model:
    from models.site import densenet_cxr

    path = _file(folder, plan.card, ".pt .pth .tar .safetensors")
    return _network(lambda chosen: densenet_cxr.load(path, plan.card, chosen), plan, registered, device)


ENGINES: Mapping[str, Engine] = MappingProxyType(
    {
        "bundle": Engine(_inspect_bundle, _load_bundle),
        "torchscript": Engine(_inspect_script, _load_script),
        "onnx": Engine(_inspect_onnx, _load_onnx),
        "command": Engine(_inspect_command, _load_command),
        "chexnet": Engine(_inspect_densenet, _load_densenet),
        "torchxrayvision": Engine(_inspect_densenet, _load_densenet),
    }
)
