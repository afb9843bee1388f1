"""Reading the folder of a transformer engine: what may be in it, what is refused, and why.

The folder comes from outside the project, so nothing of it is run: no code of its own (``auto_map``), no pickles, no
network. Weights are safetensors, tokenizers are ``tokenizer.json``, both plain data.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from models.contracts import Code, WeightsError
from models.facts import FactKind

DESCRIPTION = "engine.toml"
WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
PROPERTIES = ("negated", "historical", "hypothetical", "uncertain", "family", "other")
"""What an assertion model may say of a concept; ``family`` and ``other`` are of the experiencer."""

MODEL_TYPES = frozenset(
    {"albert", "bert", "camembert", "deberta-v2", "distilbert", "electra", "roberta", "xlm-roberta"}
)
"""Encoders that classify tokens and sequences in Hugging Face transformers without code from the folder."""

_LARGEST = MappingProxyType(
    {
        "hidden_size": 4096,
        "dim": 4096,
        "embedding_size": 4096,
        "intermediate_size": 16384,
        "hidden_dim": 16384,
        "num_hidden_layers": 48,
        "n_layers": 48,
        "num_attention_heads": 128,
        "n_heads": 128,
        "vocab_size": 400_000,
        "max_position_embeddings": 8192,
    }
)
"""Largest values of a configuration: twice and more what published encoders have; a wrong one would take all memory."""

_LARGEST_FILES = MappingProxyType({DESCRIPTION: 1 << 20, CONFIG: 1 << 20, TOKENIZER: 64 << 20, WEIGHTS: 4 << 30})
_LARGEST_LABELS = 4096
_UNCODED = MappingProxyType({kind: f"NOTE-{kind.name[:11]}" for kind in FactKind})


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a label of a concept model means: the kind, and the code of mentions that the lexicon does not know."""

    kind: FactKind
    code: Code


@dataclass(frozen=True, slots=True)
class Marking:
    """How the concept is shown to an assertion model: replaced by ``mask``, or between ``opening`` and ``closing``."""

    mask: str = ""
    opening: str = ""
    closing: str = ""


@dataclass(frozen=True)
class Description:
    """The contents of ``engine.toml``; a part that it does not name is None, and the rules do its work.

    Parameters
    ----------
    concepts
        Folder of the token classifier; ``meanings`` says what its labels (without ``B-``, ``I-``) mean.
    assertion
        Folder of the multi-label sequence classifier; ``properties`` maps its labels to :data:`PROPERTIES`, and
        ``threshold`` is the probability from which a property holds.
    sections
        Folder of the sequence classifier whose labels are section kinds.
    """

    name: str
    version: str
    concepts: Path | None = None
    assertion: Path | None = None
    sections: Path | None = None
    meanings: Mapping[str, Meaning] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    marking: Marking = Marking()
    threshold: float = 0.5


def describe(folder: Path) -> Description:
    """Read and check ``engine.toml`` of a folder.

    Raises
    ------
    WeightsError
        If the folder or the file is missing or malformed, or names what is not there.
    """
    if not folder.is_dir():
        raise WeightsError(f"no folder {folder}: notes.model names the folder of a transformer engine")
    path = folder / DESCRIPTION
    if not path.is_file():
        raise WeightsError(f"no {DESCRIPTION} in {folder}: it names the parts of the engine, see docs/notes_engines.md")
    _check_size(path)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return _description(folder, data)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WeightsError(f"{path} is not TOML: {error}") from error


def _description(folder: Path, data: Mapping[str, Any]) -> Description:
    about, concepts, assertion, sections = (
        _table(data, name, keys)
        for name, keys in (
            ("engine", {"name", "version"}),
            ("concepts", {"folder", "labels"}),
            ("assertion", {"folder", "labels", "mask", "open", "close", "threshold"}),
            ("sections", {"folder"}),
        )
    )
    _no_other_keys("the file", data, {"engine", "concepts", "assertion", "sections"})
    if not (concepts or assertion or sections):
        raise WeightsError(f"{DESCRIPTION} names no part: give [concepts], [assertion] or [sections] a folder")
    return Description(
        name=_text(about, "engine.name", "name", 24),
        version=_text(about, "engine.version", "version", 12),
        concepts=_subfolder(folder, "concepts", concepts),
        assertion=_subfolder(folder, "assertion", assertion),
        sections=_subfolder(folder, "sections", sections),
        meanings={label: _meaning(label, value) for label, value in _labels("concepts", concepts).items()},
        properties={label: _property(label, value) for label, value in _labels("assertion", assertion).items()},
        marking=_marking(assertion),
        threshold=_threshold(assertion),
    )


def _table(data: Mapping[str, Any], name: str, keys: set[str]) -> Mapping[str, Any]:
    table = data.get(name, {})
    if not isinstance(table, dict):
        raise WeightsError(f"{DESCRIPTION}: {name} is a table, [{name}]")
    _no_other_keys(f"[{name}]", table, keys)
    return table


def _no_other_keys(where: str, table: Mapping[str, Any], keys: set[str]) -> None:
    if other := sorted(table.keys() - keys):
        raise WeightsError(f"{DESCRIPTION}: unknown key {other[0]!r} in {where}; known are {', '.join(sorted(keys))}")


def _text(table: Mapping[str, Any], where: str, key: str, longest: int, default: str | None = None) -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or len(value) > longest or (default is None and not value.strip()):
        raise WeightsError(f"{DESCRIPTION}: {where} is a text of at most {longest} characters")
    return value


def _subfolder(folder: Path, name: str, table: Mapping[str, Any]) -> Path | None:
    if not table:
        return None
    inner = _text(table, f"{name}.folder", "folder", 100)
    path = (folder / inner).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise WeightsError(f"{DESCRIPTION}: {name}.folder leads out of the engine's folder")
    return path


def _labels(name: str, table: Mapping[str, Any]) -> Mapping[str, Any]:
    labels = table.get("labels", {})
    if not isinstance(labels, dict) or len(labels) > _LARGEST_LABELS or (table and not labels):
        raise WeightsError(f"{DESCRIPTION}: [{name}.labels] says what each label of the model means")
    return labels


def _meaning(label: str, value: Any) -> Meaning:
    """Read ``problem = "problem"``, or a table with kind, code, scheme and meaning."""
    table = {"kind": value} if isinstance(value, str) else value
    if not isinstance(table, dict) or table.get("kind") not in set(FactKind):
        raise WeightsError(f"{DESCRIPTION}: label {label!r} must mean one of {', '.join(FactKind)}")
    _no_other_keys(f"label {label!r}", table, {"kind", "code", "scheme", "meaning"})
    kind = FactKind(table["kind"])
    code = Code(
        _text(table, f"code of {label!r}", "code", 16, _UNCODED[kind]),
        _text(table, f"scheme of {label!r}", "scheme", 16, "99OVERREAD"),
        _text(
            table,
            f"meaning of {label!r}",
            "meaning",
            64,
            f"{kind.value.replace('_', ' ').capitalize()} named in a note",
        ),
    )
    return Meaning(kind, code)


def _property(label: str, value: Any) -> str:
    if value not in PROPERTIES:
        raise WeightsError(f"{DESCRIPTION}: assertion label {label!r} must mean one of {', '.join(PROPERTIES)}")
    return str(value)


def _marking(table: Mapping[str, Any]) -> Marking:
    keys = ("mask", "open", "close")
    marking = Marking(*(_text(table, f"assertion.{key}", key, 40, "") for key in keys))
    if table and bool(marking.mask) == bool(marking.opening and marking.closing):
        raise WeightsError(
            f"{DESCRIPTION}: [assertion] needs either mask, or open and close, as the model was trained with"
        )
    return marking


def _threshold(table: Mapping[str, Any]) -> float:
    value = table.get("threshold", 0.5)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise WeightsError(f"{DESCRIPTION}: assertion.threshold lies between 0 and 1")
    return float(value)


def check_part(folder: Path, ending: str) -> dict[str, Any]:
    """Check the files of one model before anything of it is loaded, and give its configuration.

    Parameters
    ----------
    folder
        Folder in the layout of Hugging Face's ``save_pretrained``.
    ending
        How the name of the architecture must end, such as ``ForTokenClassification``.

    Raises
    ------
    WeightsError
        If a file is missing or too large, weights are pickles, the folder brings code or an adapter, or the model is of
        another kind.
    """
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if WEIGHTS not in names:
        pickled = sorted(name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl", ".ckpt")))
        why = f"{pickled[0]} is a pickle, which could run code: save it as safetensors" if pickled else "it is missing"
        raise WeightsError(f"no {WEIGHTS} in {folder}: {why}")
    for name in (CONFIG, TOKENIZER):
        if name not in names:
            raise WeightsError(f"no {name} in {folder}: save the model and its fast tokenizer with save_pretrained")
    if "adapter_config.json" in names:
        raise WeightsError(f"{folder} is an adapter: merge it into its model first")
    for name in (CONFIG, TOKENIZER, WEIGHTS):
        _check_size(folder / name)
    return _checked_config(folder, ending)


def _check_size(path: Path) -> None:
    if path.stat().st_size > _LARGEST_FILES[path.name]:
        raise WeightsError(f"{path} is larger than {_LARGEST_FILES[path.name] >> 20} MB")


def _checked_config(folder: Path, ending: str) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{folder / CONFIG} is not JSON") from error
    if not isinstance(config, dict) or config.get("model_type") not in MODEL_TYPES:
        raise WeightsError(f"{folder}: the model is not one of {', '.join(sorted(MODEL_TYPES))}")
    if "auto_map" in config or "quantization_config" in config:
        raise WeightsError(f"{folder}: {CONFIG} asks for code from elsewhere (auto_map, quantization_config)")
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or not any(str(name).endswith(ending) for name in architectures):
        raise WeightsError(
            f"{folder}: the model is no {ending.removeprefix('For')}, as its place in {DESCRIPTION} asks"
        )
    for key, largest in _LARGEST.items():
        value = config.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= largest:
            raise WeightsError(f"{folder}: {key} of {CONFIG} is not a number from 1 to {largest}")
    return config


def labels_of(config: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """Give the labels of a model's configuration in the order of its outputs."""
    named = config.get("id2label")
    if not isinstance(named, dict) or not 1 <= len(named) <= _LARGEST_LABELS:
        raise WeightsError(f"{folder}: {CONFIG} names no labels (id2label)")
    try:
        return tuple(str(named[str(at)]) for at in range(len(named)))
    except KeyError as error:
        raise WeightsError(f"{folder}: id2label of {CONFIG} is not numbered from 0") from error


def known_labels(labels: Sequence[str], wanted: Mapping[str, Any], part: str) -> None:
    """Refuse a map that names labels which the model does not have, or none that it has."""
    if unknown := sorted(wanted.keys() - set(labels)):
        raise WeightsError(
            f"{DESCRIPTION}: [{part}.labels] names {unknown[0]!r}; the model has {', '.join(labels[:20])}"
        )
