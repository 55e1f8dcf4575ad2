"""Eight ways to lay an invoice out on paper. Each takes what is printed and gives a finished sheet."""

from __future__ import annotations

from collections.abc import Callable

from fpdf.fonts import FontFace
from recipe.sheet import GREY, WHITE, Sheet
from recipe.wording import Printed

Layout = Callable[[Printed, bool], Sheet]

SLATE = (43, 62, 80)
SAND = (243, 238, 228)
MINT = (226, 240, 233)


def letterhead_left(invoice: Printed, embedded: bool) -> Sheet:
    """Sender at the top left, a large title at the right, a table with a full grid."""
    sheet = Sheet("sans" if embedded else "Helvetica")
    sheet.line_of(invoice.vendor[0], 15, bold=True)
    sheet.lines(invoice.vendor[1:], 8.5, color=GREY)
    sheet.set_y(20)
    sheet.line_of(invoice.title.upper(), 22, align="R", color=SLATE)
    sheet.set_y(52)
    sheet.line_of(invoice.customer_label, 8.5, color=GREY)
    sheet.lines(invoice.customer, width=90)
    sheet.set_y(52)
    for fact in invoice.facts:
        sheet.pair(fact, 112, (40, 40))
    sheet.set_y(84)
    sheet.items(invoice, borders_layout="ALL", heading=FontFace(emphasis="BOLD", fill_color=SAND))
    sheet.ln(4)
    sheet.totals(invoice.totals, 102, (54, 36))
    sheet.ln(10)
    sheet.line_of(invoice.note, 9, color=GREY)
    return sheet


def letterhead_right(invoice: Printed, embedded: bool) -> Sheet:
    """Sender at the top right, dates in one line, a table with rules but no grid."""
    sheet = Sheet("sans" if embedded else "Times", margin=22)
    sheet.line_of(invoice.vendor[0], 16, bold=True, align="R")
    sheet.lines(invoice.vendor[1:], 9.5, align="R")
    sheet.ln(6)
    sheet.lines((invoice.customer_label + ":", *invoice.customer), 10.5)
    sheet.ln(12)
    sheet.line_of(invoice.title, 18, bold=True)
    sheet.line_of("   |   ".join(f"{label}: {value}" for label, value in invoice.facts), 10)
    sheet.ln(5)
    sheet.items(invoice, borders_layout="HORIZONTAL_LINES", size=10)
    sheet.ln(3)
    sheet.totals(invoice.totals, 98, (54, 36), 10.5)
    sheet.ln(16)
    sheet.line_of(invoice.note, 9.5, align="C")
    return sheet


def labels(invoice: Printed, embedded: bool) -> Sheet:
    """No table at all: labels with values, and one paragraph for each item."""
    sheet = Sheet("sans" if embedded else "Courier", margin=24)
    sheet.line_of(f"*** {invoice.title} ***", 14, bold=True, align="C")
    sheet.lines(invoice.vendor, align="C")
    sheet.ln(8)
    facts = (*invoice.facts, (invoice.customer_label, ", ".join(invoice.customer)))
    sheet.lines(f"{label}: {value}" for label, value in facts)
    sheet.ln(6)
    _, *numbers = invoice.columns
    for place, (description, *values) in enumerate(invoice.rows, start=1):
        sheet.line_of(f"{place}. {description}", bold=True)
        sheet.lines((f"{label}: {value}" for label, value in zip(numbers, values, strict=True)), x=32)
        sheet.ln(2.5)
    sheet.ln(4)
    sheet.lines((f"{label}: {value}" for label, value in invoice.totals[:-1]), align="R")
    sheet.line_of(": ".join(invoice.totals[-1]), 12, bold=True, align="R")
    sheet.ln(10)
    sheet.line_of(invoice.note, 9)
    return sheet


def sidebar(invoice: Printed, embedded: bool) -> Sheet:
    """Two columns: who and when in a tinted strip on the left, what and how much on the right."""
    sheet = Sheet("sans" if embedded else "Helvetica", margin=10)
    _strip(sheet, invoice)
    sheet.set_left_margin(70)
    sheet.set_y(24)
    sheet.line_of(invoice.title, 24, color=SLATE)
    sheet.ln(10)
    sheet.items(invoice, align="LEFT", borders_layout="NONE", cell_fill_mode="ROWS", cell_fill_color=SAND, size=9)
    sheet.ln(6)
    sheet.totals(invoice.totals, 108, (56, 36))
    sheet.ln(12)
    sheet.line_of(invoice.note, 8.5, color=GREY)
    return sheet


def _strip(sheet: Sheet, invoice: Printed) -> None:
    sheet.set_fill_color(*MINT)
    sheet.rect(0, 0, 62, 297, style="F")
    sheet.set_y(24)
    sheet.line_of(invoice.vendor[0], 12, bold=True, width=48)
    sheet.lines(invoice.vendor[1:], 8, width=48)
    for label, values in (
        (invoice.customer_label, invoice.customer),
        *((key, (value,)) for key, value in invoice.facts),
    ):
        sheet.ln(7)
        sheet.line_of(label, 8, color=GREY, width=48)
        sheet.lines(values, 9.5, width=48)


def receipt(invoice: Printed, embedded: bool) -> Sheet:
    """A till receipt: a narrow strip, two lines for each item, as long as it needs to be."""
    height = 72 + 9 * len(invoice.rows) + 5 * len(invoice.totals)
    sheet = Sheet("sans" if embedded else "Courier", format=(80, height), margin=5)
    sheet.set_auto_page_break(False)
    sheet.line_of(invoice.vendor[0], 10.5, bold=True, align="C")
    sheet.lines(invoice.vendor[1:], 7.5, align="C")
    sheet.ln(3)
    sheet.line_of(invoice.title, 9, bold=True, align="C")
    sheet.lines((f"{label}: {value}" for label, value in invoice.facts), 8)
    _dashes(sheet)
    for description, quantity, price, amount in invoice.rows:
        sheet.line_of(description, 8)
        sheet.pair((f"  {quantity} x {price}", amount), 5, (45, 25), 8)
    _dashes(sheet)
    for fact in invoice.totals[:-1]:
        sheet.pair(fact, 5, (40, 30), 8)
    sheet.pair(invoice.totals[-1], 5, (38, 32), 9, bold=True)
    return sheet


def _dashes(sheet: Sheet) -> None:
    sheet.set_dash_pattern(dash=1, gap=1)
    sheet.line(5, sheet.get_y() + 2, 75, sheet.get_y() + 2)
    sheet.set_dash_pattern()
    sheet.ln(4)


def ledger(invoice: Printed, embedded: bool) -> Sheet:
    """Many lines over several numbered pages; the sums are on the last one."""
    sheet = Sheet("sans" if embedded else "Helvetica", margin=15)
    sheet.page_label = f"{invoice.title} {invoice.facts[0][1]}, {invoice.page_label}"
    sheet.line_of(", ".join(invoice.vendor), 8, color=GREY)
    sheet.ln(8)
    sheet.line_of(invoice.title, 17, bold=True)
    sheet.lines(invoice.customer)
    for fact in invoice.facts:
        sheet.pair(fact, 115, (40, 40), 9)
    sheet.ln(5)
    sheet.items(invoice, borders_layout="SINGLE_TOP_LINE", size=8.5, col_widths=(66, 16, 18, 18))
    sheet.ln(4)
    sheet.totals(invoice.totals, 105, (54, 36))
    sheet.ln(6)
    sheet.line_of(invoice.note, 8.5, color=GREY)
    return sheet


def banded(invoice: Printed, embedded: bool) -> Sheet:
    """White on a dark band: title and sender above, table heading below."""
    sheet = Sheet("sans" if embedded else "Helvetica")
    _band(sheet, invoice)
    sheet.ln(8)
    sheet.line_of(f"{invoice.customer_label}: {', '.join(invoice.customer)}")
    sheet.ln(6)
    heading = FontFace(emphasis="BOLD", color=WHITE, fill_color=SLATE)
    sheet.set_fill_color(*WHITE)
    sheet.items(invoice, borders_layout="NONE", heading=heading, padding=1.6)
    sheet.ln(4)
    sheet.totals(invoice.totals, 98, (54, 40))
    sheet.ln(14)
    sheet.line_of(invoice.note, 9, align="C", color=GREY)
    return sheet


def _band(sheet: Sheet, invoice: Printed) -> None:
    sheet.set_fill_color(*SLATE)
    sheet.rect(0, 0, 210, 40, style="F")
    sheet.set_y(10)
    sheet.line_of(invoice.vendor[0], 14, bold=True, color=WHITE)
    sheet.line_of("  /  ".join(invoice.vendor[1:]), 8, color=WHITE)
    sheet.line_of(invoice.title, 16, color=WHITE, align="R")
    for place, (label, value) in enumerate(invoice.facts):
        sheet.set_y(48)
        sheet.line_of(label, 8, color=GREY, x=18 + 58 * place, width=56)
        sheet.line_of(value, 11, bold=True, x=18 + 58 * place, width=56)


def persian(invoice: Printed, embedded: bool) -> Sheet:
    """Right to left: letters are shaped and joined, columns run from the right."""
    sheet = Sheet("arabic")
    # A ligature comes out of the text layer with its letters exchanged. The catalog has no word that needs one.
    features = {"liga": False, "dlig": False, "rlig": False}
    sheet.set_text_shaping(True, features=features, direction="rtl", script="arab", language="fas")
    sheet.line_of(invoice.title, 20, bold=True, align="C")
    sheet.lines(invoice.vendor, align="R")
    sheet.ln(4)
    facts = (*invoice.facts, (invoice.customer_label, "، ".join(invoice.customer)))
    sheet.lines((f"{label}: {value}" for label, value in facts), align="R")
    sheet.ln(6)
    with sheet.table(text_align="RIGHT", col_widths=(20, 18, 14, 40), line_height=7, padding=1) as table:
        for cells in (invoice.columns, *invoice.rows):
            table.row(cells[::-1])
    sheet.ln(6)
    sheet.lines((f"{label}: {value}" for label, value in invoice.totals[:-1]), align="R")
    sheet.line_of(": ".join(invoice.totals[-1]), 12, bold=True, align="R")
    sheet.ln(8)
    sheet.line_of(invoice.note, align="C")
    return sheet


LAYOUTS: dict[str, Layout] = {
    "letterhead_left": letterhead_left,
    "letterhead_right": letterhead_right,
    "labels": labels,
    "sidebar": sidebar,
    "receipt": receipt,
    "ledger": ledger,
    "banded": banded,
    "persian": persian,
    "scan": letterhead_left,
}
