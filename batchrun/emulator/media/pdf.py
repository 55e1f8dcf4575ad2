"""PDF: pages and text layer, by pypdfium2. It is loaded when the first PDF arrives."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from batchrun.emulator.media.medium import Medium, Unusable

_MOST_PAGES = 1000
#: A longer text layer is cut: nothing that an answer is filled from stands so deep in a document.
_TEXT_LIMIT = 120_000
#: PDFium's code for a file that needs a password.
_PASSWORD = "Incorrect password"
# PDFium must not be entered from two threads at once, and emulators may run in more than one.
one_at_a_time = threading.Lock()


def opened(content: bytes) -> Medium:
    """Pages and text of a PDF. Raises `Unusable` for one that is broken, encrypted or empty."""
    if b"%PDF-" not in content[:1024]:
        raise Unusable("the file is no PDF")
    with one_at_a_time:
        pages, texts = _read(content)
    return Medium("application/pdf", len(content), pages=pages, text="\n".join(texts).strip("\n"), page_texts=texts)


def require_few(pages: int) -> None:
    """Raises `Unusable` for more pages than one block may be about."""
    if pages > _MOST_PAGES:
        raise Unusable(f"the PDF has {pages} pages, the limit is {_MOST_PAGES}; ask for a part with page_options")


def _read(content: bytes) -> tuple[int, tuple[str, ...]]:
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        reason = "the PDF is encrypted" if _PASSWORD in str(error) else "the PDF is broken"
        raise Unusable(reason) from None
    try:
        pages = len(document)
        if not pages:
            raise Unusable("the document has no pages")
        return pages, tuple(_texts(document, pages))
    finally:
        document.close()


def _texts(document: Any, pages: int) -> Iterator[str]:
    """The text of each page, as long as there is room for it."""
    left = _TEXT_LIMIT
    for number in range(pages):
        if left <= 0:
            break
        text = _page_text(document, number)[:left]
        left -= len(text)
        yield text


def _page_text(document: Any, number: int) -> str:
    import pypdfium2

    try:
        page = document[number]
    except pypdfium2.PdfiumError:
        return ""  # a page that cannot be drawn counts as a page all the same
    try:
        layer = page.get_textpage()
        text: str = layer.get_text_bounded()
        layer.close()
    finally:
        page.close()
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufffe", "")
