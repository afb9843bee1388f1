"""What refuses a model of the site."""

from __future__ import annotations

from models.contracts import ModelError


class ModelRefused(ModelError):
    """A model that was brought is not taken: the sentence says what is wrong and what would do."""
