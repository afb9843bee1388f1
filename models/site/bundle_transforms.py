"""Transforms of a bundle's configuration, by name: what each becomes here, or that it has nothing to do here.

Only what stands in these tables is understood; docs.monai.io, *Transforms*, says what each means. The dictionary
versions (``Spacingd``) and the array versions (``Spacing``) are the same to us.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter, ValidationError

from models.site.bundle_values import Config
from models.site.errors import ModelRefused
from models.site.steps import Step

Arguments = Mapping[str, Any]

#: What reads files, arranges channels, or changes the type: the image that we give is so already.
DONE = frozenset(
    {"LoadImage", "EnsureChannelFirst", "AsChannelFirst", "AddChannel", "EnsureType", "ToTensor", "CastToType",
     "ToDevice", "SelectItems", "CopyItems", "Identity", "EnsureTyped"}
)  # fmt: skip

#: What writes files or rearranges the answer for writing.
WRITTEN = frozenset(
    {"SaveImage", "EnsureType", "ToTensor", "CastToType", "ToDevice", "DeleteItems", "SqueezeDim", "SaveClassification",
     "SelectItems", "CopyItems", "Identity", "ClipBoxToImage", "AffineBoxToWorldCoordinate", "ConvertBoxMode"}
)  # fmt: skip

#: Arguments that say which item of the dictionary is meant, or nothing about the numbers.
SILENT = frozenset(
    {"keys", "allow_missing_keys", "meta_keys", "meta_key_postfix", "lazy", "dtype", "source_key", "track_meta",
     "align_corners", "labels", "start_coord_key", "end_coord_key", "orig_keys", "as_closest_canonical", "device"}
)  # fmt: skip


def _lengths(value: Any, axes: int) -> list[int]:
    found = list(value) if isinstance(value, list | tuple) else [value] * axes
    return [int(length) for length in (found * axes if len(found) == 1 else found)]


def _spacing(given: Arguments, axes: int) -> dict[str, Any]:
    pixdim = given["pixdim"]
    mm = list(pixdim) if isinstance(pixdim, list | tuple) else [pixdim]
    mode = _only(given.get("mode", "bilinear"))
    if mode not in {"bilinear", "nearest"}:
        raise ValueError(f"mode {mode!r}")
    return {"step": "spacing", "mm": mm + [mm[-1]] * (axes - len(mm)), "nearest": mode == "nearest"}


def _only(value: Any) -> Any:
    """The first of several values that are one for each key."""
    return value[0] if isinstance(value, list | tuple) and value else value


def _resize(given: Arguments, axes: int) -> dict[str, Any]:
    modes = {"area": "area", "bilinear": "linear", "trilinear": "linear", "nearest": "nearest"}
    longest = given.get("size_mode", "all") == "longest"
    size = _lengths(given["spatial_size"], axes)
    mode = modes[_only(given.get("mode", "area"))]
    return {"step": "resize", "size": size, "mode": mode, "by": "longest" if longest else "size",
            "antialias": bool(given.get("anti_aliasing", False))}  # fmt: skip


def _range(given: Arguments, axes: int) -> dict[str, Any]:
    low, high = given.get("b_min"), given.get("b_max")
    if low is None or high is None:
        raise ValueError("without b_min and b_max")
    return {"step": "range", "from": [given["a_min"], given["a_max"]], "to": [low, high],
            "clip": bool(given.get("clip", False))}  # fmt: skip


def _percentiles(given: Arguments, axes: int) -> dict[str, Any]:
    if given.get("relative"):
        raise ValueError("relative = true")
    return {"step": "percentiles", "low": given["lower"], "high": given["upper"],
            "to": [given["b_min"], given["b_max"]], "clip": bool(given.get("clip", False))}  # fmt: skip


def _zscore(given: Arguments, axes: int) -> dict[str, Any]:
    mean, deviation = given.get("subtrahend"), given.get("divisor")
    found: dict[str, Any] = {"step": "zscore", "nonzero": bool(given.get("nonzero", False))}
    if (mean is None) != (deviation is None):
        raise ValueError("subtrahend without divisor")
    if mean is not None and deviation is not None:
        found["mean"] = list(mean) if isinstance(mean, list) else [mean]
        found["deviation"] = list(deviation) if isinstance(deviation, list) else [deviation]
    return found


def _foreground(given: Arguments, axes: int) -> dict[str, Any]:
    if given.get("select_fn") is not None or given.get("k_divisible", 1) != 1 or given.get("channel_indices"):
        raise ValueError("a choice of foreground")
    return {"step": "crop_foreground", "margin": given.get("margin", 0)}


def _fit(key: str, *, crop: bool, pad: bool) -> Callable[[Arguments, int], dict[str, Any]]:
    def made(given: Arguments, axes: int) -> dict[str, Any]:
        if given.get("mode", "constant") != "constant" or given.get("method", "symmetric") != "symmetric":
            raise ValueError("another padding than zeros on both sides")
        return {"step": "fit", "size": _lengths(given[key], axes), "crop": crop, "pad": pad}

    return made


@dataclass(frozen=True, slots=True)
class Known:
    """How a transform is understood: the arguments that count, and what they become."""

    arguments: frozenset[str]
    become: Callable[[Arguments, int], dict[str, Any]]


def _known(arguments: str, become: Callable[[Arguments, int], dict[str, Any]]) -> Known:
    return Known(frozenset(arguments.split()), become)


STEPS: Mapping[str, Known] = MappingProxyType(
    {
        "Orientation": _known("axcodes", lambda given, axes: {"step": "orient", "axes": given["axcodes"]}),
        "Spacing": _known("pixdim mode padding_mode diagonal", _spacing),
        "Resize": _known("spatial_size mode size_mode anti_aliasing", _resize),
        "ScaleIntensityRange": _known("a_min a_max b_min b_max clip", _range),
        "ScaleIntensity": _known(
            "minv maxv", lambda given, axes: {"step": "minmax", "to": [given.get("minv", 0.0), given.get("maxv", 1.0)]}
        ),
        "ScaleIntensityRangePercentiles": _known("lower upper b_min b_max clip relative channel_wise", _percentiles),
        "NormalizeIntensity": _known("subtrahend divisor nonzero channel_wise", _zscore),
        "CropForeground": _known("select_fn margin k_divisible channel_indices allow_smaller", _foreground),
        "CenterSpatialCrop": _known("roi_size", _fit("roi_size", crop=True, pad=False)),
        "SpatialPad": _known("spatial_size method mode", _fit("spatial_size", crop=False, pad=True)),
        "ResizeWithPadOrCrop": _known("spatial_size method mode", _fit("spatial_size", crop=True, pad=True)),
        "DivisiblePad": _known("k", lambda given, axes: {"step": "pad_multiple", "of": _lengths(given["k"], axes)[0]}),
        "RepeatChannel": _known("repeats", lambda given, axes: {"step": "channels", "count": given["repeats"]}),
    }
)


#: Steps that make an image what the network was trained on, wherever it comes from.
NEEDED = frozenset({"Spacing", "Orientation"})


def short(target: str) -> str:
    """Name of a transform without its module and the ``d`` (or ``D``, ``Dict``) of the dictionary version."""
    name = target.rpartition(".")[2]
    plain = name.removesuffix("Dict") if name.endswith("Dict") else name[:-1] if name[-1:] in {"d", "D"} else name
    known = {*STEPS, *DONE, *WRITTEN, *ANSWERS}
    return plain if plain in known else name


def written(config: Config, name: str) -> list[Mapping[str, Any]]:
    """The transforms of a ``Compose``, as they are written; those that are switched off are left out.

    A change of orientation or spacing that is switched off is refused: such bundles expect images that somebody
    resampled before, and a hospital's are not.
    """
    value = config.followed(config.raw(name))
    listed = config.followed(value.get("transforms", [])) if isinstance(value, dict) else value
    if not isinstance(listed, list) or not all(isinstance(item, dict) and "_target_" in item for item in listed):
        raise ModelRefused(f"{name} of the bundle is no list of transforms that is written out")
    on = [item for item in listed if not config.disabled(item)]
    kinds = {short(str(item["_target_"])) for item in on}
    for item in listed:
        if (kind := short(str(item["_target_"]))) in NEEDED and kind not in kinds:
            raise ModelRefused(
                f"{item['_target_']} of the bundle is switched off by {str(item.get('_disabled_'))[:80]!r}: it expects "
                "images that were prepared before; engine.overrides in model.toml switches it on"
            )
    return on


def steps(config: Config, name: str, axes: int) -> tuple[Step, ...]:
    """What a bundle's preprocessing becomes.

    Raises
    ------
    ModelRefused
        With the transform, or its argument, that is not understood.
    """
    found = []
    for item in written(config, name):
        kind = short(str(item["_target_"]))
        if kind in DONE:
            continue
        if kind not in STEPS:
            raise _unknown(str(item["_target_"]), name)
        known = STEPS[kind]
        given = _arguments(config, item, known.arguments)
        try:
            found.append(_reader().validate_python(known.become(given, axes)))
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise ModelRefused(f"{item['_target_']} of the bundle is not understood with {said}") from error
    return tuple(found)


@cache
def _reader() -> TypeAdapter[Step]:
    return TypeAdapter(Step)


def _arguments(config: Config, item: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    given = {}
    for key, value in item.items():
        if key.startswith("_") or key in SILENT:
            continue
        if key not in known:
            raise ModelRefused(f"{item['_target_']} of the bundle has the argument {key!r}, which is not understood")
        given[key] = config.value(value)
    return given


def _unknown(target: str, where: str) -> ModelRefused:
    return ModelRefused(
        f"{where} of the bundle uses {target!r}, which is not understood; "
        "trust = true under [engine] of model.toml runs the bundle's own code"
    )


ANSWERS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "Activations": frozenset({"sigmoid", "softmax", "other"}),
        "AsDiscrete": frozenset({"argmax", "threshold", "to_onehot", "rounding"}),
        "Invert": frozenset({"transform", "nearest_interp", "to_tensor"}),
        "KeepLargestConnectedComponent": frozenset({"applied_labels", "is_onehot", "independent", "connectivity"}),
    }
)


@dataclass(frozen=True, slots=True)
class Finishing:
    """What a bundle's postprocessing says of the answer; ``largest_of`` is of how many labels, 0 is of all."""

    activation: str = "none"
    argmax: bool = False
    threshold: float | None = None
    nearest: bool = False
    largest_of: int | None = None
    inverted: bool = False


def finishing(config: Config, name: str) -> Finishing:
    """What a bundle's postprocessing becomes; :class:`ModelRefused` names what is not understood."""
    said: dict[str, Any] = {}
    for item in written(config, name):
        kind = short(str(item["_target_"]))
        if kind in WRITTEN:
            continue
        if kind not in ANSWERS:
            raise _unknown(str(item["_target_"]), name)
        raw = {key: value for key, value in item.items() if key != "transform"}
        given = _arguments(config, raw, ANSWERS[kind])
        said.update(_FINISHERS[kind](given, said))
    return Finishing(**said)


def _activations(given: Arguments, said: Mapping[str, Any]) -> dict[str, Any]:
    if given.get("other") is not None:
        raise ModelRefused("Activations of the bundle has a function of its own")
    return {"activation": "softmax" if given.get("softmax") else "sigmoid" if given.get("sigmoid") else "none"}


def _discrete(given: Arguments, said: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"argmax": bool(_only(given.get("argmax", False)))}
    threshold = _only(given.get("threshold"))
    if threshold is not None and threshold is not False:
        found["threshold"] = 0.5 if threshold is True else float(threshold)
    # Labels that are made before the way back are brought back as labels.
    return found if said.get("inverted") else {**found, "nearest": True}


def _inverted(given: Arguments, said: Mapping[str, Any]) -> dict[str, Any]:
    return {"inverted": True, "nearest": bool(said.get("nearest")) or bool(_only(given.get("nearest_interp", True)))}


def _largest(given: Arguments, said: Mapping[str, Any]) -> dict[str, Any]:
    labels = given.get("applied_labels")
    return {"largest_of": 0 if labels is None else len(labels) if isinstance(labels, list) else 1}


_FINISHERS: Mapping[str, Callable[[Arguments, Mapping[str, Any]], dict[str, Any]]] = MappingProxyType(
    {
        "Activations": _activations,
        "AsDiscrete": _discrete,
        "Invert": _inverted,
        "KeepLargestConnectedComponent": _largest,
    }
)


def inference(config: Config, name: str, axes: int) -> dict[str, Any]:
    """What a bundle's inferer becomes: keys of ``[engine]``."""
    written_out = config.followed(config.raw(name))
    target = str(written_out.get("_target_", "")) if isinstance(written_out, dict) else str(written_out)[:80]
    kind = target.rpartition(".")[2]
    if kind == "SimpleInferer":
        return {}
    if kind not in {"SlidingWindowInferer", "SlidingWindowInfererAdapt"}:
        raise _unknown(target, name)
    given = {key: config.value(value) for key, value in written_out.items() if key in INFERER_ARGUMENTS}
    return {
        "window": _lengths(given["roi_size"], axes),
        "overlap": float(given.get("overlap", 0.25)),
        "window_batch": int(given.get("sw_batch_size", 1)),
        "blend": str(given.get("mode", "constant")),
        "window_padding": str(given.get("padding_mode", "constant")),
    }


#: Arguments of an inferer that count; where it runs and what it prints is ours to say.
INFERER_ARGUMENTS = frozenset({"roi_size", "overlap", "sw_batch_size", "mode", "padding_mode"})
