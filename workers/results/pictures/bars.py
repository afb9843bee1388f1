"""What of the record moved an answer, as a picture: bars to the right raise it, bars to the left lower it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from models.contracts import Contribution
from workers.results.fonts import burnable
from workers.results.pictures.drawing import RGBArray, font
from workers.results.rested import MISSING
from workers.results.wording import number, unit

#: Most bars; the report has all.
LIMIT = 16

#: Width of the picture and of its parts, height of a bar's row and of head and foot, in pixels.
WIDTH, NAMES, ROW, HEAD = 1000, 430, 40, 56

RAISES, LOWERS = (222, 120, 40), (60, 140, 210)

DARK = ((16, 20, 23), (240, 240, 240), (160, 168, 176), (70, 78, 86))
LIGHT = ((255, 255, 255), (25, 30, 38), (95, 102, 112), (200, 205, 212))


def bars(contributions: Sequence[Contribution], *, light: bool = False) -> RGBArray:
    """Draw the contributions, the strongest first; ``light`` on white for paper.

    Returns
    -------
    numpy.ndarray
        ``[row, column, 3]`` uint8.
    """
    shown = contributions[:LIMIT]
    ground, ink, soft, rule = LIGHT if light else DARK
    picture = Image.new("RGB", (WIDTH, HEAD * 2 + ROW * len(shown)), ground)
    pen = ImageDraw.Draw(picture)
    middle, reach = (WIDTH + NAMES) // 2, (WIDTH - NAMES) // 2 - 64
    pen.text((12, HEAD // 2), "Value of the record", soft, font(18), anchor="lm")
    pen.text((middle - 12, HEAD // 2), "lowers the probability", LOWERS, font(18), anchor="rm")
    pen.text((middle + 12, HEAD // 2), "raises it", RAISES, font(18), anchor="lm")
    strongest = max((abs(item.weight) for item in shown if np.isfinite(item.weight)), default=0.0) or 1.0
    for row, item in enumerate(shown):
        top = HEAD + row * ROW
        pen.text((12, top + ROW // 2 - 8), _fit(burnable(item.name.meaning or item.name.value)), ink, font(17), "lm")
        pen.text((12, top + ROW // 2 + 10), burnable(value(item)), soft, font(14), "lm")
        weight = item.weight if np.isfinite(item.weight) else 0.0
        length = round(reach * abs(weight) / strongest)
        colour, direction = (RAISES, 1) if weight > 0 else (LOWERS, -1)
        left, right = sorted((middle, middle + direction * length))
        pen.rectangle((left, top + 9, right, top + ROW - 9), fill=colour)
        end, anchor = (right + 6, "lm") if weight > 0 else (left - 6, "rm")
        pen.text((end, top + ROW // 2), f"{weight:+.2f}", ink, font(16), anchor)
    pen.line((middle, HEAD - 4, middle, HEAD + ROW * len(shown) + 4), rule, 2)
    foot = "Change of the log-odds against the usual value of the training set; a contribution is no cause."
    pen.text((12, picture.height - HEAD // 2), foot, soft, font(14), anchor="lm")
    return np.asarray(picture)


def value(item: Contribution) -> str:
    """What the record had, with its unit."""
    if item.value is None:
        return MISSING
    return f"{number(item.value)} {unit(item.unit) if item.unit else ''}".strip()


def _fit(text: str) -> str:
    face = font(17)
    if face.getlength(text) <= NAMES - 24:
        return text
    while text and face.getlength(f"{text}…") > NAMES - 24:
        text = text[:-1].rstrip()
    return f"{text}…"
