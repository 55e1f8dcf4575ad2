"""Finds the labels in a text: which words stand for which concept, and where the value beside them begins.

A label begins a piece of a line: the line itself, or what comes after a bar, a tab or a wide gap. Words inside a
sentence are no labels.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property

from batchrun.emulator.replies.lexicon import LABELS

_TOKEN = re.compile(r"\w+|[^\w\s]")
_PIECE_END = re.compile(r"\s*\|\s*|\t+| {2,}")
#: Marks that a label may or may not be written with.
_SILENT = frozenset(".-'’*,/\u200c\u200b\u200f\u200e\"“”•–—")
_BULLET = re.compile(r"^[\s>*•·#-]*(?:\d{1,3}[.)]\s+)?")
_PERCENT = re.compile(r"\(?\s*(?:[%٪]\s?\d+(?:[.,]\d+)?|\d+(?:[.,]\d+)?\s?(?:[%٪]|درصد))\s*\)?|[()]\d+ درصد[()]")
_LINE_LIMIT = 400
_MOST_LINES = 4_000

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Phrase:
    """A label as words. A weak one stands for its concept only where no strong one does."""

    words: Words
    concept: str
    language: str
    weak: bool


@dataclass(frozen=True, slots=True)
class Hit:
    """A label in the text. `rest` is what follows it in its piece, `below` the next piece of text after that."""

    concepts: tuple[str, ...]
    weak: frozenset[str]
    languages: tuple[str, ...]
    size: int
    line: int
    rest: str
    below: str

    def means(self, concept: str) -> bool:
        return concept in self.concepts


@dataclass(frozen=True, slots=True)
class Piece:
    """A line or a part of one. `hit` is the label that it begins with."""

    line: int
    text: str
    hit: Hit | None


def words_of(text: str) -> list[tuple[str, int]]:
    """The words of a text in lower case, and where each ends. Marks that do not matter are left out."""
    return [(match[0].casefold(), match.end()) for match in _TOKEN.finditer(text) if match[0] not in _SILENT]


@cache
def phrases() -> Mapping[str, list[list[Phrase]]]:
    """All labels by their first word, those of more words first; one list for each wording."""
    by_words: defaultdict[Words, list[Phrase]] = defaultdict(list)
    for phrase in _all_phrases():
        by_words[phrase.words].append(phrase)
    by_first: defaultdict[str, list[list[Phrase]]] = defaultdict(list)
    for words in sorted(by_words, key=len, reverse=True):
        by_first[words[0]].append(by_words[words])
    return dict(by_first)


def _all_phrases() -> Iterator[Phrase]:
    for language, concepts in LABELS.items():
        for concept, wordings in concepts.items():
            for wording in wordings.split(";"):
                text = wording.strip()
                words = tuple(word for word, _ in words_of(text.lstrip("=")))
                yield Phrase(words, concept, language, text.startswith("="))


def label_at_start(text: str) -> tuple[list[Phrase], int] | None:
    """The longest label that a text begins with, and where it ends."""
    found = words_of(text[:80])
    if not found:
        return None
    for same in phrases().get(found[0][0], ()):
        wanted = same[0].words
        if len(wanted) <= len(found) and all(w == found[i][0] for i, w in enumerate(wanted)):
            return same, found[len(wanted) - 1][1]
    return None


class Page:
    """A text as pieces and labels. Reading it is put off until something is asked for."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def pieces(self) -> list[Piece]:
        lines = self._text.split("\n")[:_MOST_LINES]
        plain = [
            (number, piece)
            for number, line in enumerate(lines)
            for piece in _PIECE_END.split(line.strip()[:_LINE_LIMIT])
            if piece
        ]
        below = [*(piece for _, piece in plain[1:]), ""][: len(plain)]
        return [Piece(line, text, _hit(text, line, after)) for (line, text), after in zip(plain, below, strict=True)]

    @cached_property
    def hits(self) -> list[Hit]:
        return [piece.hit for piece in self.pieces if piece.hit is not None]

    @cached_property
    def telling(self) -> bool:
        """Whether the text looks like a form: several labels with different meanings."""
        return len({hit.concepts for hit in self.hits}) >= 3

    def of(self, concept: str) -> list[Hit]:
        """The labels that stand for a concept: the strong ones, or the weak ones if there are no others."""
        found = [hit for hit in self.hits if concept in hit.concepts]
        return [hit for hit in found if concept not in hit.weak] or found


def _hit(text: str, line: int, below: str) -> Hit | None:
    bullet = _BULLET.match(text)
    start = bullet.end() if bullet else 0
    body = text[start:]
    if "%" in body or "درصد" in body or "٪" in body:
        body = _PERCENT.sub(" ", body).lstrip()
    found = label_at_start(body)
    if found is None:
        return None
    same, end = found
    return Hit(
        concepts=tuple(dict.fromkeys(phrase.concept for phrase in same)),
        weak=frozenset(phrase.concept for phrase in same if phrase.weak),
        languages=tuple(dict.fromkeys(phrase.language for phrase in same)),
        size=len(same[0].words),
        line=line,
        rest=_value(body[end:]),
        below=below,
    )


def _value(rest: str) -> str:
    """What follows a label, without the marks between them."""
    return rest.lstrip(" .:=#*-–—\u200c\t" if not re.match(r"\s*[:=]?\s*-\d", rest) else " .:=#*").rstrip(" *\"',")
