"""Reading the settings: one TOML file and ``OVERREAD_<SECTION>__<KEY>`` of the environment, validated once, frozen.

The environment wins over the file. An unknown key or a bad value is a :class:`~node.errors.ConfigError` that names the
key and the line (or the environment variable) where it stands. The merging is ours, not pydantic-settings', which knows
no lines and takes unknown variables silently.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_origin

from pydantic import ValidationError

from node.errors import ConfigError
from node.settings import Section, Settings

ENV_PREFIX = "OVERREAD_"
DEFAULT_FILE = "overread.toml"


def find_file(path: Path | None) -> Path | None:
    """Return the configuration file: the one named, ``OVERREAD_CONFIG``, ``./overread.toml``, or none."""
    if path is None and (named := os.environ.get("OVERREAD_CONFIG")):
        path = Path(named)
    if path is None:
        return Path(DEFAULT_FILE) if Path(DEFAULT_FILE).is_file() else None
    if not path.is_file():
        raise ConfigError(f"configuration file {path} does not exist")
    return path


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read, merge, validate.

    Raises
    ------
    ConfigError
        With one line for each thing that is wrong.
    """
    source = find_file(path)
    try:
        text = source.read_text(encoding="utf-8") if source else ""
        data = tomllib.loads(text)
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{source}: not UTF-8 text (byte {exc.start})") from exc
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{source}: not valid TOML: {exc}") from exc
    names = _merge_environment(data, os.environ if environ is None else environ)
    try:
        return Settings.model_validate(data)
    except ValidationError as exc:
        lines = [_explain(error, source, text, names) for error in exc.errors(include_url=False, include_input=False)]
        raise ConfigError("\n".join(lines)) from exc


def _merge_environment(data: dict[str, Any], environ: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Put the environment's values into ``data``; return which key came from which variable."""
    names: dict[tuple[str, ...], str] = {}
    whole = {ENV_PREFIX + key.upper(): key for key in ("destinations", "rules")}
    for variable, value in sorted(environ.items()):
        if variable in whole:
            data[whole[variable]] = _decode(variable, value)
            names[(whole[variable],)] = variable
        elif variable.startswith(ENV_PREFIX) and "__" in variable:
            loc = tuple(variable.removeprefix(ENV_PREFIX).lower().split("__"))
            table = data.setdefault(loc[0], {})
            if len(loc) != 2 or not isinstance(table, dict):
                raise ConfigError(f"environment variable {variable}: no such key")
            table[loc[1]] = _decode(variable, value) if _is_list(loc) else value
            names[loc] = names[loc[:1]] = variable
    return names


def _is_list(loc: tuple[str, ...]) -> bool:
    section = Settings.model_fields.get(loc[0])
    annotation = section.annotation if section else None
    field = (
        annotation.model_fields.get(loc[1])
        if isinstance(annotation, type) and issubclass(annotation, Section)
        else None
    )
    return field is not None and get_origin(field.annotation) is tuple


def _decode(variable: str, value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError as exc:
        raise ConfigError(f"environment variable {variable}: not valid JSON") from exc


def _explain(error: Any, source: Path | None, text: str, names: Mapping[tuple[str, ...], str]) -> str:
    loc = tuple(error["loc"])
    key = ".".join(str(part) for part in loc) or "configuration"
    what = {"extra_forbidden": "unknown key"}.get(error["type"], error["msg"].removeprefix("Value error, "))
    spoken = tuple(str(part) for part in loc)
    for length in range(len(loc), 0, -1):
        variable = names.get(spoken[:length])
        if variable and (length == len(loc) or locate(text, loc) is None):
            return f"environment variable {variable}: {key}: {what}"
    line = locate(text, loc)
    where = f"{source}:{line}" if line else str(source or "configuration")
    return f"{where}: {key}: {what}"


def locate(text: str, loc: tuple[str | int, ...]) -> int | None:
    """Return the 1-based line on which a key path stands in TOML ``text``; the deepest part that is found."""
    seen: dict[str, int] = {}
    table: tuple[str | int, ...] = ()
    best: tuple[int, int] | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line.startswith("[["):
            name = line.strip("[] \t").split("]")[0]
            seen[name] = seen.get(name, -1) + 1
            path: tuple[str | int, ...] = (*_split(name), seen[name])
            table = path
        elif line.startswith("["):
            path = table = _split(line[1:].split("]")[0])
        elif "=" in line and not line.startswith("#"):
            path = (*table, *_split(line.split("=")[0]))
        else:
            continue
        depth = len(path)
        if path == loc[:depth] and (best is None or depth > best[0]):
            best = (depth, number)
    return best[1] if best else None


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.strip().split("."))
