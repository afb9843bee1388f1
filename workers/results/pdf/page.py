"""Layout of the PDF report: how what :mod:`workers.results.pdf.text` says looks on A4.

Every text passes :func:`workers.results.fonts.clean`, so nothing that stands in a header or a note can break the page,
be taken for markup, or ask for a glyph that no font has.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace
from fpdf.util import Padding
from PIL import Image

from workers.results.fonts import BOLD, FOLDER, REGULAR, clean, fallback
from workers.results.pictures.drawing import RGBArray
from workers.results.pictures.marks import Colour

Pairs = tuple[tuple[str, str], ...]
"""Labels and values."""

PAPER: Colour = (255, 255, 255)
INK: Colour = (25, 30, 38)
SOFT: Colour = (95, 102, 112)
RULE: Colour = (200, 205, 212)
ACCENT: Colour = (24, 78, 119)
AMBER: Colour = (150, 80, 0)
AMBER_FILL: Colour = (255, 244, 222)
HEAD_FILL: Colour = (234, 239, 244)

#: Margins, the space between two columns, and the height that is kept for the footer, in mm.
MARGIN, GAP, FOOT = 16.0, 6.0, 22.0

#: Sizes of letters in points.
TITLE, HEADING, BODY, FINE, FINEST = 17, 11, 9, 7.5, 6.7

#: Height of a line as a multiple of its letters, and mm in a point.
LEADING, POINT = 1.35, 25.4 / 72

#: Stands for the number of pages until it is known; taken out of all other text.
PAGES = "‹n›"

#: Longest text of a paragraph and of a caption in characters, and of a line in a cell in characters for each mm of its
#: width: a row has to fit on a page, wide letters and all.
PARAGRAPH, SHORT, PER_MM = 2000, 300, 4.0

#: Pictures beside each other, unless they are two or four; the largest side of one, and what its caption needs, in mm.
ABREAST, LARGEST, CAPTION = 3, 72.0, 9.0

#: How many times wider than high a picture is that gets the width of the page.
WIDE = 1.3

#: Largest side of a square picture that stands alone and without a caption, in mm.
ALONE = 110.0

FAMILY = "overread"


Cell = tuple[str, ...]
"""Lines of a cell: two at most."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head; ``widths`` are shares of the page's width."""

    head: tuple[str, ...]
    widths: tuple[int, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, eq=False)
class Picture:
    """An image with a line below it."""

    pixels: RGBArray
    caption: str


@dataclass(frozen=True, eq=False)
class Section:
    """A heading and what stands under it, in the order of the fields."""

    title: str
    note: str = ""
    table: Table | None = None
    pairs: Pairs = ()
    bullets: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    legend: tuple[tuple[Colour, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Sheet:
    """All that the report says.

    Parameters
    ----------
    title, kicker
        The title, and the line above it.
    warning
        Stands in a box below the title, and on every page.
    left, right
        The two columns below: patient and study.
    sections
        The rest.
    running
        Names the patient on every page.
    now
        Aware time of the document.
    """

    title: str
    kicker: str
    warning: str
    left: Section
    right: Section
    sections: tuple[Section, ...]
    running: str
    now: dt.datetime


def lay_out(sheet: Sheet) -> bytes:
    """Write the report on A4, its fonts embedded; the same sheet gives the same bytes."""
    paper = _Paper(sheet)
    paper.add_page()
    paper.head()
    paper.columns(sheet.left, sheet.right)
    for section in sheet.sections:
        paper.section(section)
    return bytes(paper.output())


class _Paper(FPDF):
    """A4 paper with the report's fonts, heads and feet."""

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(format="A4")
        self._sheet = sheet
        self.add_font(FAMILY, "", FOLDER / REGULAR)
        self.add_font(FAMILY, "B", FOLDER / BOLD)
        self.set_text_shaping(True)
        self.alias_nb_pages(PAGES)
        self.c_margin = 0
        self.set_margins(MARGIN, MARGIN, MARGIN)
        self.set_auto_page_break(True, FOOT)
        self.set_creation_date(sheet.now)
        self.set_title(clean(sheet.title))
        self.set_lang("en")
        self.set_creator("Overread")

    def get_fallback_font(self, char: str, style: str = "") -> str | None:
        """Load the font that has ``char`` when it is first needed: most reports need none."""
        name = fallback(char)
        if name is None:
            return None
        if name.lower() not in self.fonts:
            self.add_font(name.lower(), "", FOLDER / name)
        return name.lower()

    def footer(self) -> None:
        """Disclaimer, patient and page number."""
        self.set_y(-FOOT + 4)
        self.set_draw_color(*RULE)
        self.line(MARGIN, self.get_y(), self.w - MARGIN, self.get_y())
        self.ln(1.5)
        self.paragraph(self._sheet.warning, FINEST, AMBER)
        top = self.get_y()
        self.write_at(MARGIN, top, self.epw - 25, self._sheet.running, FINE, SOFT)
        self.style(FINE, SOFT)
        self.set_xy(self.w - MARGIN - 25, top)
        self.cell(25, FINE * POINT * LEADING, f"Page {self.page_no()} of {PAGES}", align="R")

    def head(self) -> None:
        """Title and warning."""
        sheet = self._sheet
        self.paragraph(sheet.kicker, FINE, ACCENT, "B")
        self.paragraph(sheet.title, TITLE, INK, "B")
        self.ln(1.5)
        self.set_fill_color(*AMBER_FILL)
        self.paragraph(sheet.warning, BODY, AMBER, "B", fill=True)
        self.ln(3)

    def columns(self, left: Section, right: Section) -> None:
        """Two sections beside each other."""
        width, top = (self.epw - GAP) / 2, self.get_y()
        ends = []
        for number, section in enumerate((left, right)):
            self.set_y(top)
            self.heading(section.title, MARGIN + number * (width + GAP), width)
            self.pairs(section.pairs, MARGIN + number * (width + GAP), width, 31)
            ends.append(self.get_y())
        self.set_xy(MARGIN, max(ends))

    def section(self, section: Section) -> None:
        """A section of the whole width."""
        first_row = self.abreast(section.pictures)[1] + CAPTION if section.pictures else 10
        self.keep(18 + first_row)  # a heading does not stand alone at the end of a page
        self.ln(3.5)
        self.heading(section.title, MARGIN, self.epw)
        if section.note:
            self.paragraph(section.note, FINE, SOFT)
            self.ln(1)
        if section.table is not None:
            self.sheet_table(section.table)
        self.pairs(section.pairs, MARGIN, self.epw, 32)
        for bullet in section.bullets:
            self.bullet(bullet)
        self.gallery(section.pictures)
        self.key(section.legend)

    def heading(self, text: str, left: float, width: float) -> None:
        """A heading with a rule below."""
        self.write_at(left, self.get_y(), width, text, HEADING, ACCENT, "B")
        self.set_draw_color(*RULE)
        self.line(left, self.get_y() + 0.5, left + width, self.get_y() + 0.5)
        self.set_y(self.get_y() + 1.8)

    def pairs(self, pairs: Pairs, left: float, width: float, label: float) -> None:
        """Labels and values; a pair without a value is left out."""
        for name, value in pairs:
            if not clean(value):
                continue
            self.keep(BODY * POINT * LEADING)
            top = self.get_y()
            self.write_at(left, top, label, name, BODY, SOFT)
            below = self.get_y()
            self.write_at(left + label, top, width - label, value, BODY, INK)
            self.set_y(max(below, self.get_y()) + 0.4)

    def bullet(self, text: str) -> None:
        """One item of a list."""
        self.keep(BODY * POINT * LEADING)
        top = self.get_y()
        self.write_at(MARGIN, top, 4, "•", BODY, ACCENT)
        self.write_at(MARGIN + 4, top, self.epw - 4, text, BODY, INK)
        self.ln(0.6)

    def sheet_table(self, table: Table) -> None:
        """A table whose head is repeated on every page."""
        self.style(BODY - 0.5, INK)
        self.set_draw_color(*RULE)
        self.set_fill_color(*PAPER)
        with self.table(
            col_widths=table.widths,
            width=round(self.epw),
            align="LEFT",
            text_align="LEFT",
            v_align="TOP",
            borders_layout="HORIZONTAL_LINES",
            headings_style=FontFace(emphasis="B", color=INK, fill_color=HEAD_FILL),
            line_height=BODY * POINT * LEADING,
            padding=(0.8, 1.4, 0.8, 1.4),
        ) as grid:
            for cells in (tuple((title,) for title in table.head), *table.rows):
                row = grid.row()
                for cell, width in zip(cells, table.widths, strict=True):
                    longest = round(PER_MM * self.epw * width / sum(table.widths))
                    row.cell("\n".join(_fit(line, longest) for line in cell))

    def gallery(self, pictures: Sequence[Picture]) -> None:
        """Pictures in rows; a row is never broken. One that is wider than high has a row of its own."""
        if len(pictures) == 1 and pictures[0].pixels.shape[1] > WIDE * pictures[0].pixels.shape[0]:
            self.wide(pictures[0])
            return
        abreast, size = self.abreast(pictures)
        for start in range(0, len(pictures), abreast):
            self.keep(size + CAPTION)
            top = self.get_y() + 1
            ends = []
            for number, picture in enumerate(pictures[start : start + abreast]):
                left = MARGIN + number * (size + GAP)
                caption, pixels = _fit(picture.caption, SHORT), Image.fromarray(picture.pixels)
                self.image(pixels, left, top, size, size, alt_text=caption)
                self.write_at(left, top + size + 0.8, size, caption, FINE, SOFT)
                ends.append(self.get_y())
            self.set_xy(MARGIN, max(ends) + 1)

    def wide(self, picture: Picture) -> None:
        """One picture over the width of the page, in its own proportions."""
        height = self.epw * picture.pixels.shape[0] / picture.pixels.shape[1]
        self.keep(height + CAPTION)
        top = self.get_y() + 1
        caption = _fit(picture.caption, SHORT)
        self.image(Image.fromarray(picture.pixels), MARGIN, top, self.epw, height, alt_text=caption or "Picture")
        self.set_y(top + height + 1)
        if caption:
            self.paragraph(caption, FINE, SOFT)

    def abreast(self, pictures: Sequence[Picture]) -> tuple[int, float]:
        """How many pictures stand in a row, and how large, in mm."""
        count = 2 if len(pictures) in (1, 2, 4) else ABREAST
        if len(pictures) == 1 and not pictures[0].caption:
            return 1, ALONE
        return count, min(LARGEST, (self.epw - (count - 1) * GAP) / count)

    def key(self, legend: Sequence[tuple[Colour, str]]) -> None:
        """Colours and what they stand for."""
        for colour, text in legend:
            self.keep(BODY * POINT * LEADING)
            top = self.get_y()
            self.set_fill_color(*colour)
            self.rect(MARGIN, top + 0.8, 3, 3, "F")
            self.write_at(MARGIN + 5, top, self.epw - 5, text, BODY, INK)

    def keep(self, height: float) -> None:
        """Begin a new page if there is less room than ``height``, in mm."""
        if self.will_page_break(height):
            self.add_page()

    def paragraph(self, text: str, size: float, colour: Colour, weight: str = "", *, fill: bool = False) -> None:
        """A paragraph of the whole width."""
        self.write_at(MARGIN, self.get_y(), self.epw, text, size, colour, weight, fill=fill)

    def write_at(
        self,
        left: float,
        top: float,
        width: float,
        text: str,
        size: float,
        colour: Colour,
        weight: str = "",
        *,
        fill: bool = False,
    ) -> None:
        """Write into a column; the pen then stands below, at the left margin."""
        self.style(size, colour, weight)
        self.set_xy(left, top)
        padding = Padding(1.2, 2, 1.2, 2) if fill else Padding()
        self.multi_cell(
            width,
            size * POINT * LEADING,
            _fit(text, PARAGRAPH),
            align="L",
            fill=fill,
            padding=padding,
            new_x=XPos.LMARGIN,
            new_y=YPos.NEXT,
        )

    def style(self, size: float, colour: Colour, weight: str = "") -> None:
        """Choose letters."""
        self.set_font(FAMILY, weight, size)
        self.set_text_color(*colour)


def _fit(text: str, longest: int) -> str:
    return clean(text.replace(PAGES, ""), longest)
