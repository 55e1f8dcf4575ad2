"""What is seen of a text: escapes for what is not, and the columns that the rest takes in a terminal. Pure."""

from __future__ import annotations

import unicodedata

HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
KEPT = frozenset("\n\u200c\u200d")  # line ends are ours; the joiners are letters of Persian and other scripts
_NO_COLUMN = frozenset({"Mn", "Me", "Cf"})


def safe(text: str) -> str:
    """`text` with control, bidirectional and other invisible characters written as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in KEPT or unicodedata.category(c) not in HIDDEN else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def columns(text: str) -> int:
    """The columns that a text takes on one line: two for a wide character, none for a mark on the one before."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    if unicodedata.category(character) in _NO_COLUMN:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def padded(text: str, width: int) -> str:
    """`text` with spaces after it, up to `width` columns."""
    return text + " " * (width - columns(text))


def wrapped(text: str, width: int, most: int) -> list[str]:
    """`text` in lines of at most `width` columns, broken at spaces where there are any.

    There are at most `most` lines; where that is not enough, the last one ends in three dots.
    """
    lines: list[str] = []
    rest = text
    while rest:
        end = _fitting(rest, width)
        if end == len(rest):
            return [*lines, rest]
        if len(lines) == most - 1:
            return [*lines, rest[: _fitting(rest, width - 3)].rstrip() + "..."]
        space = rest.rfind(" ", 1, end + 1)
        end = space if space > 0 else end
        lines.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return lines


def packed(parts: list[str], width: int, between: str, most: int = 4) -> list[str]:
    """The parts one after the other, as many on a line as fit; a part too long for one is wrapped."""
    lines: list[str] = []
    for part in parts:
        if lines and columns(lines[-1] + between + part) <= width:
            lines[-1] += between + part
        else:
            lines += wrapped(part, width, most)
    return lines


def _fitting(text: str, width: int) -> int:
    """How many characters of a text fit, at least one."""
    taken = 0
    for number, character in enumerate(text):
        taken += _columns_of(character)
        if taken > width:
            return max(number, 1)
    return len(text)
