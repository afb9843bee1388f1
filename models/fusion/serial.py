"""Assessments as plain JSON data, and back: what records keep, and reports and pages read. Keys are stable.

Numbers that are none (infinite, not a number) become null; unknown keys of newer versions are ignored on reading.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any

from models.contracts import ModelError
from models.fusion.contracts import Assessment

#: Of the form; what reads it may refuse a later one.
FORMAT = 1


class SerialError(ModelError):
    """Stored data are no assessment; the message names the place."""


def to_json(assessment: Assessment) -> dict[str, Any]:
    """Turn an assessment into dictionaries, lists, strings, numbers, booleans and None.

    Returns
    -------
    dict
        ``format`` and the fields of :class:`~models.fusion.contracts.Assessment` by their names; times as ISO 8601,
        enumerations by their values. Equal assessments give equal data.
    """
    plain = _plain(assessment)
    return {"format": FORMAT, **plain}


def from_json(data: Mapping[str, Any]) -> Assessment:
    """Make the assessment that :func:`to_json` wrote.

    Raises
    ------
    SerialError
        If a field is missing without a default, or has another type than it should.
    """
    if not isinstance(data, Mapping):
        raise SerialError("an assessment must be an object")
    if data.get("format", FORMAT) != FORMAT:
        raise SerialError(f"format {data.get('format')!r} of the assessment is not known; this version reads {FORMAT}")
    made = _made(Assessment, data, "assessment")
    assert isinstance(made, Assessment)  # noqa: S101  _made returns what it was asked for
    return made


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool) or value is None else str(value)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _made(kind: Any, value: Any, place: str) -> Any:
    """Make a value of a type from plain data."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _one_of(typing.get_args(kind), value, place)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise SerialError(f"{place} must be a list")
        return tuple(_made(typing.get_args(kind)[0], item, f"{place}[{at}]") for at, item in enumerate(value))
    if origin is not None:  # Mapping[str, Any]
        if not isinstance(value, Mapping):
            raise SerialError(f"{place} must be an object")
        return dict(value)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, value, place)
    return _scalar(kind, value, place)


def _one_of(kinds: tuple[Any, ...], value: Any, place: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    for kind in kinds:
        try:
            return _made(kind, value, place)
        except SerialError:
            continue
    raise SerialError(f"{place} has a type that it cannot have")


def _dataclass(kind: type, value: Any, place: str) -> Any:
    if not isinstance(value, Mapping):
        raise SerialError(f"{place} must be an object")
    hints, given = _hints(kind), {}
    for field in dataclasses.fields(kind):
        if field.name in value:
            given[field.name] = _made(hints[field.name], value[field.name], f"{place}.{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise SerialError(f"{place}.{field.name} is missing")
    return kind(**given)


def _scalar(kind: Any, value: Any, place: str) -> Any:
    if kind is Any:
        return value
    if kind is float and value is None:
        return math.nan  # what was no number when it was written
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind in (str, bool) and isinstance(value, kind):
        return value
    if isinstance(kind, type) and issubclass(kind, Enum | dt.datetime) and isinstance(value, str):
        try:
            return kind(value) if issubclass(kind, Enum) else dt.datetime.fromisoformat(value)
        except ValueError as exc:
            raise SerialError(f"{place} is no {kind.__name__}") from exc
    raise SerialError(f"{place} is no {getattr(kind, '__name__', kind)}")
