"""The picture that a Secondary Capture holds: a key slice or the like, what the model says beside it, the disclaimer.

Nothing here names the patient or a date: what identifies a study stands in the object's header, where it can be
de-identified.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from models.contracts import Finding
from workers.results.common import DISCLAIMER, ResultInput
from workers.results.fonts import burnable
from workers.results.headers import grid
from workers.results.pictures.drawing import SIDE, RGBArray, Slice, font, render
from workers.results.pictures.marks import Colour, colour_of, marked
from workers.results.wording import NOTHING_FOUND, model_line, sentences

#: Said above everything else.
WARNING = "AI RESULT, NOT VERIFIED"

#: Shown in place of a slice, where something was found that lies on none.
NO_PLACE = "What the model reports has no place on a slice."

WHITE: Colour = (240, 240, 240)
GREY: Colour = (170, 170, 170)
AMBER: Colour = (255, 190, 60)

#: Least height of a picture with its column.
LEAST = 560

#: Width of the column beside a slice, and sizes of its letters, as parts of the slice's side.
COLUMN = 0.55
LARGE, SMALL, MARGIN = 1 / 30, 1 / 40, 1 / 48


@dataclass
class Column:
    """A column of text that is written from the top down."""

    pen: ImageDraw.ImageDraw
    left: int
    top: int
    width: int
    bottom: int

    def write(self, text: str, size: int, colour: Colour, swatch: Colour | None = None) -> bool:
        """Write a paragraph; False where it does not fit: then its beginning is written, with dots after it."""
        face, indent = font(size), self.width // 16
        lines, step = wrap(burnable(text), face, self.width - indent), round(size * 1.35)
        room = max(0, (self.bottom - self.top) // step)
        fits = len(lines) <= room
        if not fits:
            lines = [*lines[: room - 1], f"{lines[room - 1]} …"] if room else []
        if swatch is not None and lines:
            box = (self.left, self.top + step // 4, self.left + indent * 3 // 4, self.top + step // 4 + indent * 3 // 4)
            self.pen.rectangle(box, fill=swatch)
        for line in lines:
            self.pen.text((self.left + indent, self.top), line, colour, face)
            self.top += step
        return fits

    def space(self, height: int) -> None:
        """Leave room."""
        self.top += height


@dataclass(frozen=True, eq=False)
class Beside:
    """What stands beside a picture.

    Parameters
    ----------
    place
        Which image it is, and how it is drawn.
    swatch
        Colour in which a finding is seen in the picture; None where it is not.
    legend
        What else is seen in it, with its colour.
    """

    place: str
    swatch: Callable[[Finding], Colour | None]
    legend: tuple[tuple[str, Colour], ...] = ()


def page(inp: ResultInput, drawn: Slice | None) -> RGBArray:
    """Draw the picture of a capture of a volume.

    Parameters
    ----------
    inp
        What is shown.
    drawn
        The slice; None for a picture of words alone.

    Returns
    -------
    numpy.ndarray
        ``[row, column, 3]`` uint8, the slice at the left edge and at the top.
    """
    if drawn is None:
        return words(inp, NO_PLACE)
    prediction = inp.prediction
    named = {finding.segment for finding in prediction.findings}
    legend = tuple((s.name, s.rgb) for s in prediction.segments if s.label in drawn.segments - named)

    def swatch(finding: Finding) -> Colour | None:
        return colour_of(prediction, finding) if is_seen(finding, drawn) else None

    return compose(inp, render(inp, drawn), Beside(place(inp, drawn), swatch, legend))


def words(inp: ResultInput, no_place: str) -> RGBArray:
    """Draw a picture of words alone; ``no_place`` stands where a picture would be if something was found."""
    empty = np.zeros((SIDE, SIDE, 3), np.uint8)
    return compose(inp, empty, None, no_place if inp.prediction.findings else NOTHING_FOUND)


def compose(inp: ResultInput, shown: RGBArray, beside: Beside | None, said: str = "") -> RGBArray:
    """Put what the model says beside a picture, and the disclaimer below.

    Parameters
    ----------
    shown
        ``[row, column, 3]`` uint8; at the left edge and at the top.
    said
        Stands in the middle of the picture.
    """
    side, size = max(shown.shape[0], LEAST), max(shown.shape[0], SIDE)
    wide, margin, small = round(size * COLUMN), round(size * MARGIN), round(size * SMALL)
    width = shown.shape[1]
    disclaimer = wrap(DISCLAIMER, font(small), width + wide - 2 * margin)
    step = round(small * 1.35)
    canvas = Image.new("RGB", (width + wide, side + step * len(disclaimer) + 2 * margin))
    canvas.paste(Image.fromarray(shown), (0, 0))
    pen = ImageDraw.Draw(canvas)
    _describe(inp, beside, Column(pen, width + margin, margin, wide - 2 * margin, side - margin), size)
    if said:
        pen.text((side // 2, side // 2), said, WHITE, font(round(side * LARGE)), anchor="mm")
    pen.line((0, side, canvas.width, side), AMBER, 2)
    for number, line in enumerate(disclaimer):
        pen.text((margin, side + margin + number * step), line, AMBER, font(small))
    return np.asarray(canvas)


def _describe(inp: ResultInput, beside: Beside | None, column: Column, side: int) -> None:
    """Model, place, findings and limits, as far as there is room."""
    large, small = round(side * LARGE), round(side * SMALL)
    column.write(WARNING, small, AMBER)
    column.write(inp.card.title, large, WHITE)
    column.write(model_line(inp), small, GREY)
    if beside is not None:
        column.write(beside.place, small, GREY)
    column.space(large)
    column.bottom -= 2 * large  # kept for the line that says that not all is shown
    written = _findings(inp, beside, column, large, small) and all(
        column.write(warning, small, AMBER) for warning in inp.prediction.warnings
    )
    column.bottom += 2 * large
    if not written:
        column.write("Not all is shown here: see the report.", small, AMBER)


def _findings(inp: ResultInput, beside: Beside | None, column: Column, large: int, small: int) -> bool:
    """What was found, with the colours of what is seen in the picture; False where not all has room."""
    prediction = inp.prediction
    if not prediction.findings and beside is not None:
        column.write(NOTHING_FOUND, large, WHITE)
    for finding in prediction.findings:
        swatch = beside.swatch(finding) if beside is not None else None
        for number, sentence in enumerate(sentences(prediction, finding, inp.card)):
            size, colour = (large * 5 // 6, WHITE) if number == 0 else (small, GREY)
            if not column.write(sentence, size, colour, swatch if number == 0 else None):
                return False
        column.space(small // 2)
    legend = beside.legend if beside is not None else ()
    return all(column.write(name, small, WHITE, colour) for name, colour in legend)


def is_seen(finding: Finding, drawn: Slice) -> bool:
    """Whether something of a finding is drawn on the slice."""
    return finding.segment in drawn.segments or marked(finding, drawn.geometry, drawn.key.index)


def place(inp: ResultInput, drawn: Slice) -> str:
    """Which slice it is: as its header numbers it, and by its place in the stack."""
    if len(inp.sources) == 1:
        _, order = grid(inp.sources)
        number = f"frame {order[drawn.key.index] + 1}"
    else:
        number = f"image {drawn.header.get('InstanceNumber') or '?'}"
    series = f"series {drawn.header.SeriesNumber}, " if drawn.header.get("SeriesNumber") else ""
    return f"Slice {drawn.key.index + 1} of {drawn.geometry.shape[0]} ({series}{number})"


def wrap(text: str, face: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Break a text into lines of at most ``width`` pixels; a word that is longer is broken itself."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if face.getlength(longer) <= width:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for character in word:
            if lines[-1] and face.getlength(lines[-1] + character) > width:
                lines.append("")
            lines[-1] += character
    return lines
