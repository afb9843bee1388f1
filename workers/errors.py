"""What a worker refuses: the node's errors that are also a model's ``InputDeclined``, so that the job ends as DECLINED.

The messages are shown to people and logged; they name attributes and geometry, never a patient.
"""

from __future__ import annotations

from models.contracts import InputDeclined
from node.errors import OverreadError


class SeriesRefused(OverreadError, InputDeclined):
    """The instances of a series cannot be read as one stack of images."""


class GeometryRefused(SeriesRefused):
    """The slices do not lie on one regular, rectangular grid, or do not say where they lie."""
