"""Findings of drawn nodules: sizes with intervals, place, type, and the sentence for people.

What the scores of :mod:`models.fusion` read from the sentence is only said where it was measured: the type by density,
never a lobe (fissures are not found) nor a margin. "Upper third" is the height in the lung, not the upper lobe.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.codes import LONG_AXIS, MILLILITRE, MILLIMETRE, NO_UNITS, PROBABILITY, SHORT_AXIS, VOLUME
from models.contracts import Code, Finding, Measurement, Region, RegionKind, Side, WeightsError
from models.imaging.lung.measuring import Measured
from models.imaging.lung.terms import ATTENUATION, HOUNSFIELD, LABEL, NODULE_OF_LUNG, SMALLEST_MM, SOLID_DIAMETER

#: Nodules longer than this are masses (Hansell DM et al., Radiology 2008;246:697-722).
MASS_MM = 30.0

#: What the intervals of sizes are calibrated for.
CONFIDENCE = 0.9

_THIRDS = ("lower", "middle", "upper")


@dataclass(frozen=True, slots=True)
class Settings:
    """Numbers of a training that the model needs, from its card.

    Parameters
    ----------
    slope, intercept
        From logit to calibrated log odds.
    threshold
        Probability from which on a candidate is a finding.
    length_factor, volume_factor
        How much wider than the sizes by the lower and the higher border the intervals are.
    """

    slope: float
    intercept: float
    threshold: float
    length_factor: float
    volume_factor: float

    @property
    def least_logit(self) -> float:
        """Logit at the threshold."""
        return (math.log(self.threshold / (1 - self.threshold)) - self.intercept) / self.slope

    def probability(self, logit: float) -> float:
        """Calibrated probability of a logit."""
        odds = max(-60.0, min(60.0, self.slope * logit + self.intercept))
        return 1 / (1 + math.exp(-odds))


def settings_of(metrics: Mapping[str, object]) -> Settings:
    """Read the settings of a card; :class:`WeightsError` where one is missing."""
    numbers: Any = metrics
    try:
        return Settings(
            slope=float(numbers["calibration"]["slope"]),
            intercept=float(numbers["calibration"]["intercept"]),
            threshold=float(numbers["operating_threshold"]),
            length_factor=float(numbers["interval_factor"]["long_axis"]),
            volume_factor=float(numbers["interval_factor"]["volume"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError("the model card lacks calibration, operating_threshold or interval_factor") from error


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the lungs a nodule lies.

    Parameters
    ----------
    side
        Of the lung.
    height, depth, width
        0 to 1 within the lung's box: from base to apex, from front to back, from the patient's right to the left.
    """

    side: Side
    height: float
    depth: float
    width: float

    @property
    def name(self) -> str:
        """Name of the place by tenths of the lung's box, which later studies give too where breathing is alike."""
        tenths = [min(int(share * 10), 9) for share in (self.height, self.depth, self.width)]
        return "h{}-d{}-w{}".format(*tenths)

    @property
    def third(self) -> str:
        """Third of the lung's height."""
        return _THIRDS[min(int(self.height * 3), 2)]


@dataclass(frozen=True, slots=True)
class Certainty:
    """Probability of a nodule, and its range over mirror images."""

    value: float
    lower: float
    upper: float


def finding(
    measured: Measured | None,
    place: Place,
    certainty: Certainty,
    at: tuple[float, float, float],
    settings: Settings,
    *,
    lesion: str,
    segment: int | None,
) -> Finding:
    """State one nodule; one that could not be measured is a point."""
    if measured is None:
        text = f"Nodule in the {place.third} third of the {place.side} lung, which could not be measured."
        sizes: tuple[Measurement, ...] = ()
        regions: tuple[Region, ...] = (Region(RegionKind.POINT, (at,)),)
    else:
        text = _sentence(measured, place)
        sizes = _sizes(measured, settings)
        regions = (
            Region(RegionKind.POLYLINE, measured.long_ends),
            Region(RegionKind.POLYLINE, measured.short_ends),
        )
    return Finding(
        label=LABEL,
        code=NODULE_OF_LUNG,
        measurements=(*sizes, _probability(certainty)),
        side=place.side,
        segment=segment,
        confidence=certainty.value,
        text=text,
        regions=regions,
        lesion=lesion,
    )


def nothing_found(certainty: Certainty) -> Finding:
    """State that no nodule was found; the probability is that of the likeliest candidate."""
    return Finding(
        label=LABEL,
        code=NODULE_OF_LUNG,
        measurements=(_probability(certainty),),
        confidence=1 - certainty.value,
        text=f"No lung nodule of {SMALLEST_MM:g} to {MASS_MM:g} mm was found; larger masses are not looked for.",
        present=False,
    )


def _sentence(measured: Measured, place: Place) -> str:
    size = measured.size
    word = "mass" if size.long_mm > MASS_MM else "nodule"
    kind = f"{measured.density} {word}" if measured.density else word
    solid = f", solid component {measured.solid_mm:.1f} mm" if measured.solid_mm else ""
    surface = ", at the surface of the lung" if measured.at_surface else ""
    return (
        f"{kind[0].upper()}{kind[1:]} in the {place.third} third of the {place.side} lung{surface}: "
        f"{size.long_mm:.1f} x {size.short_mm:.1f} mm, {size.volume_ml:.2f} ml, mean {measured.mean_hu:.0f} HU{solid}."
    )


def _sizes(measured: Measured, settings: Settings) -> tuple[Measurement, ...]:
    size, low, high = measured.size, measured.smallest, measured.largest
    found = [
        _sized(LONG_AXIS, MILLIMETRE, (size.long_mm, low.long_mm, high.long_mm), settings.length_factor),
        _sized(SHORT_AXIS, MILLIMETRE, (size.short_mm, low.short_mm, high.short_mm), settings.length_factor),
        _sized(VOLUME, MILLILITRE, (size.volume_ml, low.volume_ml, high.volume_ml), settings.volume_factor),
        Measurement(ATTENUATION, measured.mean_hu, HOUNSFIELD, method="Mean over the drawn nodule"),
    ]
    if measured.solid_mm:
        found.append(Measurement(SOLID_DIAMETER, measured.solid_mm, MILLIMETRE))
    return tuple(found)


def _sized(name: Code, unit: Code, values: tuple[float, float, float], factor: float) -> Measurement:
    lower, upper = interval(values, factor)
    return Measurement(name, values[0], unit, lower, upper, CONFIDENCE, METHOD)


METHOD = "Border halfway between lung and nodule; interval from borders at 35 and 65 %, scaled on validation scans"


def interval(values: tuple[float, float, float], factor: float) -> tuple[float, float]:
    """Bounds from a size and the sizes by other borders: the distances times the factor, cut at zero."""
    value, low, high = values
    half = factor * max(value - low, high - value, LEAST_SHARE * value)
    return max(0.0, value - half), value + half


#: The half width of an interval is at least this share of the size before it is scaled.
LEAST_SHARE = 0.02


def _probability(certainty: Certainty) -> Measurement:
    return Measurement(
        PROBABILITY,
        certainty.value,
        NO_UNITS,
        certainty.lower,
        certainty.upper,
        method="Calibrated; range over eight mirror images (mean plus and minus two standard deviations)",
    )
