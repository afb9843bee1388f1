"""Contrast of text as WCAG 2.2 counts it (success criterion 1.4.3): 4.5 to 1 for text, 3 to 1 for marks."""

from __future__ import annotations

import re

import pytest

from node.web.pages import HERE

CSS = (HERE / "static/overread.css").read_text()
BACKGROUNDS = ("ground", "raised")
TEXT = ("text", "strong", "muted", "link", "good", "busy", "warn", "bad", "quiet")
PAIRS = [(name, ground) for name in TEXT for ground in BACKGROUNDS]
PAIRS += [(name, f"{name}-bg") for name in ("good", "busy", "warn", "bad", "quiet")]
PAIRS += [("link", "busy-bg"), ("bad", "hover"), ("muted", "hover")]
PAIRS += [("text", mark) for mark in ("present", "negated", "family", "historical", "uncertain", "other", "warn-bg")]
MARKS = [("busy", "good-bg"), ("bad", "good-bg"), ("busy", "line"), ("strong", "raised"), ("focus", "ground")]
"""Points of a course on its band, bars on their rail, the line in its halo, the focus."""


def schemes() -> dict[str, dict[str, str]]:
    dark, light = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)[:2]
    return {name: dict(re.findall(r"--([\w-]+): (#\w+)", block)) for name, block in (("dark", dark), ("light", light))}


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_counted_as_the_guideline_does() -> None:
    assert contrast("#fff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_can_be_read_in_both_schemes(scheme: str) -> None:
    colours = schemes()[scheme]
    weak = {pair: round(value, 2) for pair in PAIRS if (value := contrast(*(colours[one] for one in pair))) < 4.5}
    assert weak == {}


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_what_is_drawn_can_be_seen_in_both_schemes(scheme: str) -> None:
    colours = schemes()[scheme]
    weak = {pair: round(value, 2) for pair in MARKS if (value := contrast(*(colours[one] for one in pair))) < 3}
    assert weak == {}
