"""Which form of an answer the sender takes: the ``Accept`` header (RFC 9110 section 12.5.1). Pure."""

from __future__ import annotations

JSON, XML = "application/dicom+json", "application/dicom+xml"
OFFERS = (JSON, "application/json", XML, "application/xml")
"""What can be answered, the default first (PS3.18 section 8.7.4: DICOM JSON is the default of web services)."""


def choose(accept: str) -> str | None:
    """Return the media type to answer with, or None where nothing fits.

    An absent header, or one that lists nothing, takes everything.
    """
    ranges = [found for item in accept.split(",") if (found := _range(item)) is not None]
    if not ranges:
        return None if accept.strip(" \t,") else JSON
    weights = {offer: _weight(offer, ranges) for offer in OFFERS}
    best = max(OFFERS, key=lambda offer: weights[offer])  # the first of equals
    return best if weights[best] > 0 else None


def _range(item: str) -> tuple[str, float] | None:
    """Return a media range and its weight; parameters other than ``q`` do not narrow it."""
    name, *parameters = (part.strip(" \t").lower() for part in item.split(";"))
    if name.count("/") != 1:
        return None
    quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
    try:
        return name, min(max(float(quality), 0.0), 1.0)
    except ValueError:
        return None


def _weight(offer: str, ranges: list[tuple[str, float]]) -> float:
    """Return the weight of the most specific range that an offer falls into."""
    for wanted in (offer, f"{offer.partition('/')[0]}/*", "*/*"):
        fitting = [weight for name, weight in ranges if name == wanted]
        if fitting:
            return max(fitting)
    return 0.0
