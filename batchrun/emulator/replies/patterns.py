"""A string that matches a simple regular expression: literals, classes, groups, alternatives and repetition."""

from __future__ import annotations

import re
import string

from batchrun.emulator.draws import digest

_CLASSES = {"d": string.digits, "w": string.ascii_lowercase + string.digits + "_", "s": " "}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_DOT = string.ascii_lowercase
_MAX_REPEAT = 64


class _NotSimple(Exception):
    """The pattern has something that this module does not know."""


def sample(pattern: str, key: bytes) -> str | None:
    """A string that the pattern matches, the same for the same key; None if the pattern is not simple."""
    try:
        written = _Sampler(pattern, key).alternatives()
        return written if len(pattern) < 500 and re.search(pattern, written) else None
    except (_NotSimple, IndexError, RecursionError, re.error):
        return None


class _Sampler:
    def __init__(self, pattern: str, key: bytes) -> None:
        self._pattern = pattern
        self._at = 0
        self._key = key
        self._draws = 0

    def alternatives(self) -> str:
        choices = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            choices.append(self._sequence())
        return choices[self._draw(len(choices))]

    def _sequence(self) -> str:
        written = ""
        while self._peek() not in ("", "|", ")"):
            start, piece = self._at, self._piece()
            low, high = self._quantifier()
            if high > 0 and low < high:
                low += self._draw(min(high, low + 3) - low + 1)
            written += piece if low == 1 else self._repeated(start, low)
        return written

    def _repeated(self, start: int, count: int) -> str:
        """The piece at `start` written `count` times, each with draws of its own."""
        end, written = self._at, ""
        for _ in range(count):
            self._at = start
            written += self._piece()
        self._at = end
        return written

    def _piece(self) -> str:
        character = self._next()
        match character:
            case "^" | "$":
                return self._anchor(character)
            case ".":
                return self._one_of(_DOT)
            case "[":
                return self._one_of(self._class())
            case "(":
                return self._group()
            case "\\":
                return self._one_of(self._escape())
            case "*" | "+" | "?" | "{" | "}" | ")":
                raise _NotSimple
        return character

    def _anchor(self, character: str) -> str:
        before, after = self._pattern[: self._at - 1][-1:], self._peek()
        if (before if character == "^" else after) not in ("", "|", "(" if character == "^" else ")"):
            raise _NotSimple  # such a pattern matches nothing, and finding that out may take for ever
        return ""

    def _group(self) -> str:
        if self._peek() == "?":
            if self._pattern[self._at : self._at + 2] != "?:":
                raise _NotSimple
            self._at += 2
        written = self.alternatives()
        if self._next() != ")":
            raise _NotSimple
        return written

    def _class(self) -> str:
        negated = self._peek() == "^"
        self._at += negated
        members = ""
        while (character := self._next()) != "]":
            first = self._escape() if character == "\\" else character
            members += self._range(first) if len(first) == 1 else first
        return "".join(c for c in string.printable[:95] if c not in members) if negated else members

    def _range(self, first: str) -> str:
        if self._peek() != "-" or self._pattern[self._at + 1] == "]":
            return first
        self._at += 1
        last = self._next()
        if last == "\\" or ord(last) - ord(first) > 0x10000:
            raise _NotSimple
        return "".join(chr(code) for code in range(ord(first), ord(last) + 1))

    def _escape(self) -> str:
        character = self._next()
        if character.isalnum() and character not in _CLASSES and character not in _ESCAPES:
            raise _NotSimple
        return _CLASSES.get(character) or _ESCAPES.get(character) or character

    def _quantifier(self) -> tuple[int, int]:
        bounds = {"*": (0, 3), "+": (1, 4), "?": (0, 1)}.get(self._peek())
        if bounds is not None:
            self._at += 1
        elif counted := re.compile(r"\{(\d{1,5})(,(\d{0,5}))?\}").match(self._pattern, self._at):
            self._at = counted.end()
            low = int(counted[1])
            bounds = (low, int(counted[3]) if counted[3] else low + 3 if counted[2] else low)
        if bounds is None:
            return 1, 1
        if self._peek() == "?":
            self._at += 1
        if bounds[0] > _MAX_REPEAT:
            raise _NotSimple
        return bounds

    def _one_of(self, members: str) -> str:
        if not members:
            raise _NotSimple
        return members[self._draw(len(members))]

    def _draw(self, choices: int) -> int:
        self._draws += 1
        return digest(self._key, self._draws)[0] % choices

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _next(self) -> str:
        self._at += 1
        return self._pattern[self._at - 1]
