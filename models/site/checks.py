"""Whether an input is what a model of the site was made for."""

from __future__ import annotations

from models.checks import check_body_part, check_radiograph
from models.contracts import InputDeclined, InputKind, InputRequirements, Radiograph, Source, Volume, expect
from models.imaging.checks import check_requirements
from models.site.card import SiteCard

#: Where a series says in which phase of the contrast medium it was taken.
PHASE_KEYWORDS = ("SeriesDescription", "ProtocolName", "AcquisitionContext")


def check(source: Source, card: SiteCard, needs: InputRequirements) -> Volume | Radiograph:
    """Give the source as the kind that the card names.

    Raises
    ------
    InputDeclined
        With the reason.
    """
    if card.input.kind is InputKind.RADIOGRAPH:
        return check_radiograph(source, needs)
    volume = expect(source, Volume)
    check_requirements(volume, needs)
    check_body_part(volume.attributes, needs)
    if card.input.phases:
        check_phase(volume, card.input.phases)
    return volume


def check_phase(volume: Volume, phases: tuple[str, ...]) -> None:
    """Decline a series whose description names none of the phases; case does not count."""
    said = " ".join(volume.attributes.get(keyword, "") for keyword in PHASE_KEYWORDS).casefold()
    if not any(phase.casefold() in said for phase in phases):
        raise InputDeclined(f"The series' description names none of: {', '.join(phases)}.")
