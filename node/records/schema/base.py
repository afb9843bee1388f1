"""What every table is made of: its base class, UTC times and state columns."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Enum, LargeBinary, TypeDecorator
from sqlalchemy.orm import DeclarativeBase

from node.clock import now

__all__ = ["Base", "Utc", "now", "state_column"]


class Utc(TypeDecorator[dt.datetime]):
    """Aware UTC datetimes over databases that know no time zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """Store UTC without its zone."""
        return None if value is None else value.astimezone(dt.UTC).replace(tzinfo=None)

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """Give the zone back."""
        return None if value is None else value.replace(tzinfo=dt.UTC)


def state_column(states: type[StrEnum]) -> Enum:
    """Column of a state: stored as its value, without a CHECK that would need a migration for each new state."""
    return Enum(states, native_enum=False, length=20, values_callable=lambda cls: [state.value for state in cls])


class Base(DeclarativeBase):
    """Declarative base."""

    type_annotation_map = {dt.datetime: Utc, dict[str, Any]: JSON, list[Any]: JSON, bytes: LargeBinary}  # noqa: RUF012
