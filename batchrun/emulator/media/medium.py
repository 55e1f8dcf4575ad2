"""What there is to know of a medium, and why one cannot be used."""

from __future__ import annotations

from dataclasses import dataclass


class Unusable(Exception):
    """A medium that the service would answer with 400. The message says why, without the place in the request."""


@dataclass(frozen=True, slots=True)
class Medium:
    """What opening a medium tells. What does not apply to its kind is None; `text` is its text layer, cut short.

    `page_texts` is the same page by page, where there are real pages.
    """

    mime_type: str
    size: int
    pages: int | None = None
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    text: str = ""
    page_texts: tuple[str, ...] = ()
