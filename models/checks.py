"""Whether a radiograph, a waveform or a record is what a model asks for; declined with a sentence for people.

The same for volumes is :mod:`models.imaging.checks`. Each function gives the source as the model should compute with
it: only the channels that its card names, in that order; only the values of the record that it reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from models.contracts import (
    FloatArray,
    InputDeclined,
    InputRequirements,
    Radiograph,
    RadiographNeeds,
    Record,
    RecordNeeds,
    Source,
    Waveform,
    WaveformNeeds,
    expect,
)

#: A view of a radiograph from the front or the back, where the object does not say which; no View Position of DICOM.
FRONTAL = "FRONTAL"

#: Part of a channel's samples that may be missing (Waveform Padding Value): beyond it the whole was not recorded.
MAX_MISSING = 0.1

#: An electrode that is off leaves no more than the noise of the amplifier, in mV; the smallest QRS is ten times this.
FLAT_MV = 0.02

#: A recording of sound that never exceeds this part of full scale is silence: one step of 12 bits.
FLAT_SOUND = 1 / 2048

#: By how much rounding may put a rate or a duration over its limit, as a part of it.
ROUNDING = 1e-3


def check_radiograph(source: Source, requirements: InputRequirements) -> Radiograph:
    """Give ``source`` if a model that asks for ``requirements`` can read it.

    Checked in this order: kind, modality, body part, view, two axes, rows and columns, finite values, contrast.

    Raises
    ------
    InputDeclined
        With the reason.
    """
    image = expect(source, Radiograph)
    needs = requirements.radiograph or RadiographNeeds()
    check_modality(image.modality, requirements)
    check_body_part(image.attributes, requirements)
    check_view(image.view, needs.views)
    if image.array.ndim != 2:
        raise InputDeclined("The image is not one picture of rows and columns.")
    rows, columns = image.array.shape
    if min(rows, columns) < max(needs.min_pixels, 1):
        raise InputDeclined(
            f"The image has {rows} x {columns} pixels; this model needs at least {needs.min_pixels} along each side."
        )
    if not np.isfinite(image.array).all():
        raise InputDeclined("The image holds values that are not numbers.")
    if float(image.array.max()) == float(image.array.min()):
        raise InputDeclined("The image has the same value everywhere.")
    return image


def check_waveform(source: Source, requirements: InputRequirements, *, max_flat: int = 0) -> Waveform:
    """Give the channels that a model reads, in the order of its card, with short gaps filled.

    Checked in this order: kind, modality, body part, shape, channels, rate, duration, missing samples, flat channels.

    Parameters
    ----------
    max_flat
        How many of the channels may be flat (an electrode that is off).

    Returns
    -------
    Waveform
        Finite everywhere: gaps are bridged by straight lines.

    Raises
    ------
    InputDeclined
        With the reason.
    """
    waveform = expect(source, Waveform)
    needs = requirements.waveform or WaveformNeeds()
    check_modality(waveform.modality, requirements)
    check_body_part(waveform.attributes, requirements)
    if waveform.array.ndim != 2 or len(waveform.channels) != waveform.array.shape[0] or not waveform.array.size:
        raise InputDeclined("The waveform is not a number of channels with samples.")
    picked = pick_channels(waveform, needs.channels)
    _check_time(picked, needs)
    _check_missing(picked)
    filled = replace(picked, array=without_gaps(picked.array))
    _check_flat(filled, max_flat)
    return filled


def check_record(source: Source, requirements: InputRequirements) -> Record:
    """Give the values that a model reads: of its codes, within its hours.

    The record of a source of another kind (an image with values) is checked the same way.

    Raises
    ------
    InputDeclined
        If there are fewer than the card asks for.
    """
    record = source if isinstance(source, Record) else source.record
    needs = requirements.record or RecordNeeds()
    first, last = needs.hours
    values = tuple(
        value
        for value in record.values
        if (not needs.codes or value.code in needs.codes) and first <= value.hours <= last and np.isfinite(value.value)
    )
    if len(values) < needs.min_values:
        raise InputDeclined(
            f"The record has {len(values)} of the values that this model reads, between {first:g} and {last:g} hours "
            f"from the study; it needs at least {needs.min_values}."
        )
    return replace(record, values=values)


def check_modality(modality: str, requirements: InputRequirements) -> None:
    """Raise :class:`InputDeclined` for a modality that the card does not name; a card without any names all."""
    if requirements.modalities and modality not in requirements.modalities:
        allowed = " or ".join(requirements.modalities)
        raise InputDeclined(f"The modality is {modality or 'not given'}; this model reads {allowed}.")


def check_body_part(attributes: Mapping[str, str], requirements: InputRequirements) -> None:
    """Raise :class:`InputDeclined` for another Body Part Examined; one that is not given is not held against it."""
    part = attributes.get("BodyPartExamined", "").strip().upper()
    if part and requirements.body_parts and part not in requirements.body_parts:
        allowed = " or ".join(requirements.body_parts)
        raise InputDeclined(f"The body part is {part[:16]}; this model reads {allowed}.")


def check_view(view: str, wanted: Sequence[str]) -> None:
    """Raise :class:`InputDeclined` for a view that the card does not name; one without any names all.

    A card that names both AP and PA reads an image that is known only to be :data:`FRONTAL`.
    """
    accepted = {*wanted, *((FRONTAL,) if {"AP", "PA"} <= set(wanted) else ())}
    if wanted and view.upper() not in accepted:
        raise InputDeclined(f"The view is {view or 'not given'}; this model reads {' or '.join(wanted)}.")


def find_channels(names: Sequence[str], wanted: Iterable[Sequence[str]]) -> tuple[int, ...] | None:
    """Give the places of the first set of ``wanted`` that is among ``names`` in full; None where none is.

    Capitals make no difference. Of two channels of one name the first is meant.
    """
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        places.setdefault(name.casefold(), place)
    for group in wanted:
        found = [places.get(name.casefold()) for name in group]
        if None not in found:
            return tuple(place for place in found if place is not None)
    return None


def pick_channels(waveform: Waveform, wanted: Sequence[Sequence[str]]) -> Waveform:
    """Give the first set of channels that is there in full, in its order; all where no set is asked for.

    Raises
    ------
    InputDeclined
        If no set is there in full.
    """
    if not wanted:
        return waveform
    names = [channel.name for channel in waveform.channels]
    found = find_channels(names, wanted)
    if found is None:
        sets = "; or ".join(", ".join(group) for group in wanted)
        have = ", ".join(name[:32] or "no name" for name in names[:24])
        raise InputDeclined(f"The channels are {have}; this model reads {sets}.")
    channels = tuple(waveform.channels[place] for place in found)
    return replace(waveform, array=waveform.array[list(found)], channels=channels)


def without_gaps(array: FloatArray) -> FloatArray:
    """Bridge what is not a number by straight lines, and the ends by the nearest value; ``[channel, sample]``.

    A channel without any number becomes zeros.
    """
    missing = ~np.isfinite(array)
    if not missing.any():
        return array
    filled = np.array(array, dtype=np.float32)
    at = np.arange(array.shape[1])
    for row, gone in zip(filled, missing, strict=True):
        row[gone] = np.interp(at[gone], at[~gone], row[~gone]) if not gone.all() else 0.0
    return filled


def _check_time(waveform: Waveform, needs: WaveformNeeds) -> None:
    low, high = needs.rate_hz
    if not low * (1 - ROUNDING) <= waveform.rate_hz <= high * (1 + ROUNDING):
        raise InputDeclined(
            f"The waveform has {waveform.rate_hz:g} samples a second; this model reads {low:g} to {high:g}."
        )
    low, high = needs.seconds
    if not low * (1 - ROUNDING) <= waveform.seconds <= high * (1 + ROUNDING):
        raise InputDeclined(f"The waveform lasts {waveform.seconds:.1f} s; this model reads {low:g} to {high:g} s.")


def _check_missing(waveform: Waveform) -> None:
    shares = np.mean(~np.isfinite(waveform.array), axis=1)
    worst = int(np.argmax(shares))
    if shares[worst] > MAX_MISSING:
        raise InputDeclined(
            f"Of channel {_name(waveform, worst)} {100 * float(shares[worst]):.0f} % of the samples are missing; "
            f"at most {100 * MAX_MISSING:.0f} % may be."
        )


def _check_flat(waveform: Waveform, max_flat: int) -> None:
    ranges = waveform.array.max(axis=1) - waveform.array.min(axis=1)
    limits = [_flat_below(channel.unit) for channel in waveform.channels]
    flat = [at for at, (found, limit) in enumerate(zip(ranges, limits, strict=True)) if found <= limit]
    if len(flat) > max_flat or len(flat) == len(ranges):
        names = ", ".join(_name(waveform, at) for at in flat[:12])
        raise InputDeclined(f"There is no signal in {'channel' if len(flat) == 1 else 'channels'} {names}.")


def _flat_below(unit: str) -> float:
    return {"mV": FLAT_MV, "": FLAT_SOUND, "1": FLAT_SOUND}.get(unit, 0.0)


def _name(waveform: Waveform, channel: int) -> str:
    return waveform.channels[channel].name[:32] or f"number {channel + 1}"
