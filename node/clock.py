"""The time, one way for all."""

from __future__ import annotations

import datetime as dt


def now() -> dt.datetime:
    """Return the present time, aware, in UTC."""
    return dt.datetime.now(dt.UTC)
