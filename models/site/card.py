"""The card of a model of the site: ``model.toml``, read strictly, with errors that name the key.

docs/bring_your_own.md describes every key. What a bundle's own metadata says is filled in where the card is silent.
"""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from models.contracts import SCOUT_CHOICES, STACK_CHOICES, STEP_CHOICES, TILT_CHOICES, InputKind
from models.site.errors import ModelRefused
from models.site.label_maps import CLASS_MAPS
from models.site.step_base import Lengths, check_size
from models.site.step_grids import LETTERS
from models.site.steps import Intensity

CARD_NAME = "model.toml"

#: A card is a page of text; with a hundred outputs it is some twenty.
MAX_CARD_BYTES = 256 << 10
#: Python's reader takes a time that grows with the square of the parts of a key.
MAX_DOTS = 500

#: No control characters; no backslash either, which parts the values of a DICOM element (PS3.5 section 6.2).
LINE = r"^[^\x00-\x1f\x7f-\x9f\\]*$"
Line = Annotated[str, Field(max_length=300, pattern=LINE)]
Short = Annotated[str, Field(max_length=64, pattern=LINE)]
Text = Annotated[str, Field(max_length=4000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,47}$")]
Version = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._+-]{0,31}$")]
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Range = tuple[Annotated[float, Field(ge=0, le=1e5)], Annotated[float, Field(ge=0, le=1e5)]]
#: A text that is no expression and no reference of a bundle's configuration.
Plain = Annotated[str, Field(max_length=300, pattern=r"^[^$@%]")]
Share = Annotated[float, Field(ge=0, le=1)]

#: Modalities of what is read as a radiograph (docs/inputs.md); a secondary capture of one bears that of its image.
RADIOGRAPHS = ("CR", "DX")

#: Entries of a list of the card.
MANY = 64
MAX_NESTING = 8

ENGINES = ("bundle", "torchscript", "onnx", "command", "chexnet", "torchxrayvision")
TASKS = ("segmentation", "classification", "detection", "regression")


class Part(BaseModel):
    """A table of the card: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")


class ModelPart(Part):
    """``[model]``: what it is and what it is for."""

    name: Name
    version: Version
    title: Annotated[str, Field(min_length=1, max_length=300, pattern=LINE)]
    summary: Text = ""
    licence: Line
    data: Text = ""
    intended_use: Text = "Not stated by its maker. Not a medical device."
    limits: tuple[Line, ...] = Field(default=(), max_length=MANY)
    references: tuple[Line, ...] = Field(default=(), max_length=MANY)
    priority: Literal["STAT", "ASAP", "ROUTINE"] = "ROUTINE"
    metrics: dict[str, JsonValue] = Field(default_factory=dict, max_length=64)

    @field_validator("metrics", mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        if _depth(value) > MAX_NESTING:
            raise ValueError(f"tables within tables, deeper than {MAX_NESTING}")
        return _told(value)


class InputPart(Part):
    """``[input]``: what it reads, and how that is prepared."""

    kind: Literal[InputKind.VOLUME, InputKind.RADIOGRAPH] = InputKind.VOLUME
    modality: tuple[Annotated[str, Field(pattern="^[A-Z]{2,16}$")], ...] = Field(min_length=1, max_length=MANY)
    body_parts: tuple[Annotated[str, Field(pattern="^[A-Z0-9 ]{1,16}$")], ...] = Field(default=(), max_length=MANY)
    views: tuple[Annotated[str, Field(pattern="^[A-Z0-9 ]{1,16}$")], ...] = Field(default=(), max_length=MANY)
    min_pixels: Annotated[int, Field(ge=0, le=8192)] = 0
    phases: tuple[Annotated[str, Field(min_length=2, max_length=64, pattern=LINE)], ...] = Field(
        default=(), max_length=MANY
    )
    accept_spacing_mm: Range = (0.0, 1e4)
    accept_extent_mm: Range = (0.0, 1e4)
    min_slices: Annotated[int, Field(ge=1, le=10000)] = 3
    description: Line = ""
    tilt: Literal[TILT_CHOICES] = "refuse"  # type: ignore[valid-type]
    uneven_spacing: Literal[STEP_CHOICES] = "refuse"  # type: ignore[valid-type]
    missing_slices: Literal[STEP_CHOICES] = "refuse"  # type: ignore[valid-type]
    several_stacks: Literal[STACK_CHOICES] = "refuse"  # type: ignore[valid-type]
    scouts: Literal[SCOUT_CHOICES] = "leave_out"  # type: ignore[valid-type]
    orientation: Annotated[str, Field(pattern="^([RLAPIS]{3})?$")] = ""
    spacing: tuple[Annotated[float, Field(gt=0.05, le=50)], ...] = ()
    normalisation: tuple[Intensity, ...] = Field(default=(), max_length=16)
    size: Lengths | None = None
    fit: Literal["resize", "crop_pad", "longest"] = "resize"
    axes: Literal["yx", "xy"] = "yx"
    channels: Annotated[int, Field(ge=1, le=16)] = 1

    @field_validator("modality", "body_parts", "views", "phases", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("accept_spacing_mm", "accept_extent_mm")
    @classmethod
    def _rising(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1] or value[1] <= 0:
            raise ValueError("the lower end comes first, and the upper one is above 0")
        return value

    @model_validator(mode="after")
    def _fitting(self) -> InputPart:
        axes = 3 if self.kind is InputKind.VOLUME else 2
        if axes == 2 and not set(self.modality) & set(RADIOGRAPHS):
            raise ValueError(f"modality of a radiograph is {' or '.join(RADIOGRAPHS)}, among others if you like")
        if self.orientation and len({LETTERS[letter][0] for letter in self.orientation}) != 3:
            raise ValueError(f"orientation {self.orientation!r} must name each of R/L, A/P and I/S once")
        if self.spacing and (axes == 2 or len(self.spacing) != 3):
            raise ValueError("spacing is three numbers in mm, for a volume")
        if self.orientation and axes == 2:
            raise ValueError("orientation is of volumes; for a radiograph say axes")
        if self.size is not None and len(self.size) != axes:
            raise ValueError(f"size is {axes} numbers for a {self.kind}")
        if self.spacing and not self.orientation:
            raise ValueError("spacing is along the axes of an orientation: give orientation too")
        return self


class EnginePart(Part):
    """``[engine]``: what runs it, and what its numbers are."""

    kind: Literal[ENGINES]  # type: ignore[valid-type]
    task: Literal[TASKS]  # type: ignore[valid-type]
    file: Annotated[str, Field(max_length=200)] = ""
    activation: Literal["softmax", "sigmoid", "none"] = "none"
    window: Lengths | None = None
    overlap: Annotated[float, Field(ge=0, lt=0.95)] = 0.25
    window_batch: Annotated[int, Field(ge=1, le=64)] = 1
    blend: Literal["gaussian", "constant"] = "gaussian"
    window_padding: Literal["constant", "replicate", "reflect"] = "constant"
    nearest: bool = False
    largest_part: bool = False
    exclusive: bool = False
    unnamed_channels: Literal["refuse", "ignore"] = "refuse"
    class_map: Literal["", *CLASS_MAPS] = ""  # type: ignore[valid-type]
    score_threshold: Share = 0.5
    max_detections: Annotated[int, Field(ge=1, le=1000)] = 50
    thresholds: tuple[float, ...] = Field(default=(), max_length=64)
    trust: bool = False
    overrides: dict[Label, bool | int | float | Plain] = Field(default_factory=dict, max_length=64)
    argv: tuple[Annotated[str, Field(max_length=1000)], ...] = Field(default=(), max_length=64)
    format: Literal["nifti", "npy"] = "nifti"
    timeout_seconds: Annotated[float, Field(gt=0, le=86400)] = 600.0
    max_output_mb: Annotated[int, Field(ge=1, le=65536)] = 2048

    @model_validator(mode="after")
    def _whole(self) -> EnginePart:
        if (self.kind == "command") != bool(self.argv):
            raise ValueError("argv is the command line of kind 'command', and of nothing else")
        if self.overrides and self.kind != "bundle":
            raise ValueError("overrides are of bundles: values in place of those of its configuration")
        if self.trust and self.kind != "bundle":
            raise ValueError("trust is of bundles: it lets a bundle's own configuration run")
        return self


class Output(Part):
    """One of ``[[outputs]]``: a class of a segmentation, a finding, a number."""

    label: Label
    name: Line = ""
    channel: Annotated[int, Field(ge=0, le=1024)] | None = None
    code: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,64}$")] = ""
    scheme: Annotated[str, Field(pattern=r"^[A-Z0-9_.-]{1,16}$")] = "SCT"
    meaning: Short = ""
    category: Literal["structure", "abnormality", "tissue", "object"] = "structure"
    anatomy_code: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,64}$")] = ""
    anatomy_meaning: Short = ""
    side: Literal["", "left", "right"] = ""
    unit: Annotated[str, Field(max_length=16, pattern=r"^[!-\[\]-~]*$")] = ""
    unit_meaning: Short = ""
    threshold: Share = 0.5
    report_absent: bool = False

    @model_validator(mode="after")
    def _coded(self) -> Output:
        if self.code and not self.meaning:
            raise ValueError(f"the code of {self.label!r} needs its meaning")
        if self.anatomy_code and not self.anatomy_meaning:
            raise ValueError(f"the anatomy_code of {self.label!r} needs its anatomy_meaning")
        return self


class SiteCard(Part):
    """The whole card."""

    model: ModelPart
    input: InputPart
    engine: EnginePart
    outputs: tuple[Output, ...] = Field(default=(), max_length=255)

    @model_validator(mode="after")
    def _agreeing(self) -> SiteCard:
        labels = [output.label for output in self.outputs]
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise ValueError(f"two outputs are labelled {twice[0]!r}")
        if self.engine.task == "detection" and self.input.kind is not InputKind.VOLUME:
            raise ValueError("boxes are found in volumes only: a radiograph has no place in the patient to report")
        if not self.outputs and not self.engine.class_map:
            raise ValueError("name at least one of [[outputs]], or a class_map")
        channels = [output.channel for output in self.outputs if output.channel is not None]
        if self.engine.task == "segmentation" and self.engine.activation != "sigmoid" and 0 in channels:
            raise ValueError("channel 0 of classes that exclude each other is the background: it is no output")
        if self.engine.task == "segmentation" and max(channels, default=0) > 254:
            raise ValueError("a segmentation has at most 254 labels")
        if self.engine.window:
            check_size(self.engine.window)
        if self.engine.window and len(self.engine.window) != (3 if self.input.kind is InputKind.VOLUME else 2):
            raise ValueError("window has as many numbers as the input has axes")
        return self


T = TypeVar("T", bound=BaseModel)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a card's file; :class:`ModelRefused` where it is too large or no TOML."""
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise ModelRefused(f"{path.name} is larger than {MAX_CARD_BYTES >> 10} kB: that is no model card")
        text = path.read_text(encoding="utf-8-sig")  # editors of some systems mark UTF-8
        if any(line.count(".") > MAX_DOTS for line in text.splitlines()):
            raise ModelRefused(f"{path.name} has a line with more than {MAX_DOTS} dots: that is no model card")
        return tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ModelRefused(f"{path.name} is not UTF-8: save it so") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ModelRefused(f"{path.name} is not TOML: {error}") from error
    except OSError as error:
        raise ModelRefused(f"there is no {path.name}: write the model's card ({error.strerror})") from error


def validated(kind: type[T], value: Any, what: str) -> T:
    """Make a model of plain data; :class:`ModelRefused` names the key and what is wrong with it."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        where = where if where.isprintable() and len(where) <= 100 else repr(where[:100])
        raise ModelRefused(f"{what}: {f'{where}: ' if where else ''}{_in_words(first)}") from error


#: What a text must be that has a pattern, by the pattern.
FORMS = {
    LINE: "is one line, without a backslash",
    "^[A-Z]{2,16}$": 'is in capitals, as Modality has it, such as "CT"',
    "^[A-Z0-9 ]{1,16}$": 'is in capitals, as DICOM has it, such as "CHEST" or "PA"',
    "^([RLAPIS]{3})?$": 'is three of R, L, A, P, I, S, such as "RAS"',
    r"^[a-z0-9][a-z0-9-]{0,47}$": "is of a-z, 0-9 and hyphens, up to 48 of them",
    r"^[0-9A-Za-z][0-9A-Za-z._+-]{0,31}$": 'begins with a letter or digit and has no blanks, such as "1.2.0"',
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$": "is of letters, digits, dots, hyphens and underscores, up to 64 of them",
    r"^[A-Za-z0-9._-]{0,64}$": "is a code: letters, digits, dots, hyphens and underscores",
    r"^[!-\[\]-~]*$": "is of printable ASCII without blanks and backslashes",
}

#: A member of an enumeration as pydantic writes it.
MEMBER = re.compile(r"<\w+\.\w+: ('[^']*')>")


def _in_words(error: ErrorDetails) -> str:
    """Say what is wrong with a key in the words of the card."""
    given = error.get("ctx", {})
    kind = error["type"]
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "is not a key that is known here"
    if kind in {"literal_error", "enum"}:
        expected = MEMBER.sub(r"\1", str(given.get("expected", "")))
        return f"is one of {expected}"
    if kind == "string_pattern_mismatch" and (form := FORMS.get(str(given.get("pattern")))):
        return form
    return error["msg"].removeprefix("Value error, ").replace("Input should be", "should be")


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Lay the tables of ``over`` on those of ``base``: what the card says goes before what was derived."""
    result = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = {**result[key], **value}
        else:
            result[key] = value
    return result


def _depth(value: Any) -> int:
    """How deep tables and lists lie within each other, counted without going deeper than :data:`MAX_NESTING`."""
    layer, depth = [value], 0
    while layer and depth <= MAX_NESTING:
        layer = [
            inner
            for item in layer
            if isinstance(item, dict | list | tuple)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        depth += 1
    return depth


def _told(value: Any) -> Any:
    """The same with what is no number as text, for JSON has no such numbers."""
    if isinstance(value, dict):
        return {key: _told(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_told(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
