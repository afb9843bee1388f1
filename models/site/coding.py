"""From a site's card to the catalogue's: codes of outputs, segments, requirements.

An output has the code that its card gives; else the code of the structure that bears its label in TotalSegmentator's
table; else one of the private scheme ``99OVERREAD``, which says that it is not coded.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from models.codes import MILLILITRE, NO_UNITS, OWN_SCHEME
from models.contracts import (
    Code,
    InputKind,
    InputRequirements,
    ModelCard,
    RadiographNeeds,
    ResultSpec,
    SegmentSpec,
    Side,
)
from models.site import label_maps
from models.site.card import Output, SiteCard

#: A Code Value is of at most 16 characters (PS3.5 section 6.2, SH).
MAX_CODE_VALUE = 16


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one channel, label or number of a model's answer means."""

    output: Output
    channel: int
    name: str
    code: Code
    side: Side | None
    segment: SegmentSpec
    unit: Code | None


def meanings(card: SiteCard) -> tuple[Meaning, ...]:
    """Meaning of every output, in the order of the card, then those of its class map that it does not name."""
    first = first_channel(card)
    # Label 0 is the background: classes that do not exclude each other count from channel 0, their labels from 1.
    shift = 1 - first if card.engine.task == "segmentation" else 0
    named = [
        _meaning(output, output.channel if output.channel is not None else place + first, shift)
        for place, output in enumerate(card.outputs)
    ]
    taken = {item.channel for item in named}
    names = label_maps.CLASS_MAPS[card.engine.class_map] if card.engine.class_map else ()
    mapped = [
        _meaning(Output(label=name, name=name.replace("_", " ").capitalize()), value, shift)
        for value, name in enumerate(names, start=1)
        if value not in taken
    ]
    return tuple(named + mapped)


def first_channel(card: SiteCard) -> int:
    """Channel of the first output: a segmentation whose classes exclude each other has the background at 0."""
    return 1 if card.engine.task == "segmentation" and card.engine.activation != "sigmoid" else 0


def _meaning(output: Output, channel: int, shift: int) -> Meaning:
    known = label_maps.structure(output.label) if not output.code else None
    side = Side(output.side) if output.side else (known[3] if known else None)
    name = output.name or output.label.replace("_", " ").replace("-", " ").capitalize()
    if known:
        code = known[1]
        spec = label_maps.segment(channel + shift, output.label, name, (known[0], known[1], known[2], side))
    else:
        code = Code(output.code, output.scheme, output.meaning) if output.code else own_code(output.label, name)
        category = label_maps.CATEGORIES[output.category]
        anatomy = Code(output.anatomy_code, "SCT", output.anatomy_meaning) if output.anatomy_code else None
        spec = label_maps.segment(channel + shift, output.label, name, (category, code, anatomy, side))
    unit = Code(output.unit, "UCUM", output.unit_meaning or output.unit) if output.unit else None
    return Meaning(output, channel, name, code, side, spec, unit)


def own_code(label: str, name: str) -> Code:
    """A code of the private scheme for what has none: the label in capitals, shortened with a digest if too long."""
    value = label.upper()
    if len(value) > MAX_CODE_VALUE:
        digest = hashlib.sha256(label.encode()).hexdigest()[:5].upper()
        value = f"{value[: MAX_CODE_VALUE - 6]}-{digest}"
    return Code(value, OWN_SCHEME, name[:64])


def requirements(card: SiteCard) -> InputRequirements:
    """What the card asks of the input."""
    given = card.input
    radiograph = RadiographNeeds(given.views, given.min_pixels) if given.kind is InputKind.RADIOGRAPH else None
    return InputRequirements(
        modalities=given.modality,
        spacing_mm=given.accept_spacing_mm,
        extent_mm=given.accept_extent_mm,
        min_slices=given.min_slices,
        description=given.description,
        tilt=given.tilt,
        uneven_spacing=given.uneven_spacing,
        missing_slices=given.missing_slices,
        several_stacks=given.several_stacks,
        scouts=given.scouts,
        kind=given.kind,
        body_parts=given.body_parts,
        radiograph=radiograph,
    )


def model_card(card: SiteCard, digest: str) -> ModelCard:
    """The catalogue's card of a model of the site; ``digest`` is that of all its files."""
    said = card.model
    known = meanings(card)
    drawn = card.engine.task == "segmentation"
    usual = MILLILITRE if drawn else NO_UNITS
    return ModelCard(
        name=said.name,
        version=said.version,
        title=said.title,
        summary=said.summary,
        requirements=requirements(card),
        outputs=tuple(item.segment for item in known) if drawn else (),
        weights_sha256=digest,
        data=said.data,
        licence=said.licence,
        intended_use=said.intended_use,
        limits=said.limits,
        metrics=said.metrics,
        references=said.references,
        results=tuple(ResultSpec(item.output.label, item.code, item.unit or usual) for item in known),
    )
