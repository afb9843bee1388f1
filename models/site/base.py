"""What the models of the site have in common: their cards, and the check against these."""

from __future__ import annotations

from models.contracts import ModelCard, Source
from models.site.card import SiteCard
from models.site.checks import check
from models.site.coding import Meaning, meanings


class SiteModel:
    """A model of the site; ``card`` is the site's card, ``registered`` the catalogue's."""

    def __init__(self, card: SiteCard, registered: ModelCard) -> None:
        self._site = card
        self._card = registered
        self._known: tuple[Meaning, ...] = meanings(card)

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._card

    def check(self, source: Source) -> None:
        """Raise :class:`~models.contracts.InputDeclined` with the reason if ``source`` is unsuitable."""
        check(source, self._site, self._card.requirements)
