"""A PDF whose bytes depend on nothing but what is put on it, and the blocks that several layouts share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import fontpkg
from fpdf import FPDF
from fpdf.fonts import FontFace
from recipe.wording import Fact, Printed

Color = tuple[int, int, int]

EMBEDDED = {"sans": "PT Sans", "arabic": "IBM Plex Sans Arabic"}
GREY: Color = (110, 110, 110)
BLACK: Color = (0, 0, 0)
WHITE: Color = (255, 255, 255)


class Blank(FPDF):
    """No page yet, and no trace of when or with which version it was made."""

    def __init__(self, format: str | tuple[float, float] = "A4") -> None:
        super().__init__(format=format)
        self.creation_date = datetime(2025, 1, 1, tzinfo=UTC)
        self.set_producer("sample_data/make_samples.py")


class Sheet(Blank):
    """`typeface` is a standard PDF font, or `sans` or `arabic`, which are embedded."""

    def __init__(self, typeface: str, format: str | tuple[float, float] = "A4", margin: float = 18) -> None:
        super().__init__(format)
        self.core_fonts_encoding = "cp1252"
        self.set_margin(margin)
        self.page_label: str | None = None
        if typeface in EMBEDDED:
            self.add_font(typeface, "", fontpkg.path(EMBEDDED[typeface]))
            self.add_font(typeface, "B", fontpkg.path(EMBEDDED[typeface], weight=700))
        self.set_font(typeface, size=10)
        self.add_page()

    def footer(self) -> None:
        if self.page_label is not None:
            self.set_y(-14)
            self.line_of(f"{self.page_label} {self.page_no()} / {{nb}}", size=8, align="R", color=GREY)

    def line_of(
        self,
        text: str,
        size: float = 10,
        *,
        bold: bool = False,
        align: str = "L",
        color: Color = BLACK,
        x: float | None = None,
        width: float = 0,
    ) -> None:
        """One paragraph from `x` (else the left margin) on; the next one goes under it."""
        self.set_x(self.l_margin if x is None else x)
        self.set_font(style="B" if bold else "", size=size)
        self.set_text_color(*color)
        self.multi_cell(width, size * 0.48, text, align=align, new_x="LMARGIN", new_y="NEXT")
        self.set_text_color(*BLACK)

    def lines(self, texts: Iterable[str], size: float = 10, **where: Any) -> None:
        for text in texts:
            self.line_of(text, size, **where)

    def pair(self, fact: Fact, x: float, widths: tuple[float, float], size: float = 10, *, bold: bool = False) -> None:
        """Label on the left, value at the right edge, on one line."""
        height = size * 0.6
        self.set_x(x)
        self.set_font(style="B" if bold else "", size=size)
        self.cell(widths[0], height, fact[0])
        self.cell(widths[1], height, fact[1], align="R", new_x="LMARGIN", new_y="NEXT")

    def totals(self, facts: Sequence[Fact], x: float, widths: tuple[float, float], size: float = 10) -> None:
        """Subtotal, taxes and, in bold under a rule, the total; kept on one page."""
        if self.will_page_break(size * 0.6 * (len(facts) + 3)):
            self.add_page()
        for fact in facts[:-1]:
            self.pair(fact, x, widths, size)
        self.line(x, self.get_y() + 1, x + sum(widths), self.get_y() + 1)
        self.ln(2)
        self.pair(facts[-1], x, widths, size + 1, bold=True)

    def items(self, invoice: Printed, *, heading: FontFace | None = None, size: float = 9.5, **style: Any) -> None:
        """The table of line items; its heading is repeated on every page."""
        self.set_font(style="", size=size)
        style = {"col_widths": (52, 16, 18, 18), "line_height": size * 0.55, "padding": 1} | style
        face = heading or FontFace(emphasis="BOLD")
        with self.table(text_align=("LEFT", "RIGHT", "RIGHT", "RIGHT"), headings_style=face, **style) as table:
            for cells in (invoice.columns, *invoice.rows):
                table.row(cells)
