"""The API key in this process: it shows itself to nobody, and is cut out of whatever a server says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import quote

#: A shorter key is a placeholder for a server on this machine.
_SHORTEST_SECRET = 9
#: So much of a key, in a message that may quote a part of it, is cut out too.
_SHORTEST_PART = 8
INSTEAD = b"[the API key]"


class Secret:
    """A key. Its repr, str and format do not hold it, and it cannot be pickled; only `reveal` gives it."""

    __slots__ = ("_escape", "_escaped", "_forms", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        hidden = len(value) >= _SHORTEST_SECRET
        self._forms = tuple({value.encode(), quote(value, safe="").encode()}) if hidden else ()
        self._escape = re.compile(rb"\\(?:%s)" % b"|".join({_escape_of(char) for char in value})) if hidden else None
        each = (rb"(?:%s|\\%s)" % (re.escape(char.encode()), _escape_of(char)) for char in value)
        self._escaped = re.compile(b"".join(each))

    def __repr__(self) -> str:
        return "Secret(…)"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key cannot be pickled or copied")

    @property
    def sendable(self) -> bool:
        """Whether a header can hold it."""
        return self._value.isascii() and self._value.isprintable() and " " not in self._value

    def reveal(self) -> str:
        """The key itself."""
        return self._value

    def out_of(self, content: bytes, *, cut: bool = False) -> bytes:
        """What a server said without the key, as it is or as JSON may escape it.

        Content that was `cut` may end with a part of it.
        """
        for form in self._forms:
            if form in content:
                content = content.replace(form, INSTEAD)
        if self._escape is not None and self._escape.search(content):
            content = self._escaped.sub(INSTEAD, content)
        return self._without_end(content) if cut else content

    def _without_end(self, content: bytes) -> bytes:
        for form in self._forms:
            sizes = range(len(form) - 1, _SHORTEST_PART - 1, -1)
            if size := next((size for size in sizes if content.endswith(form[:size])), 0):
                return content[:-size] + INSTEAD
        return content

    def out_of_parts(self, content: bytes) -> bytes:
        """A short message without the key and without any longer part of it: it may quote one."""
        content = self.out_of(content)
        for size in range(len(self._value) - 1, _SHORTEST_PART - 1, -1) if self._forms else ():
            for start in range(len(self._value) - size + 1):
                content = content.replace(self._value[start : start + size].encode(), INSTEAD)
        return content

    def out_of_text(self, text: str) -> str:
        """As `out_of_parts`."""
        return self.out_of_parts(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def out_of_headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """The same headers, or others if one quotes the key."""
        shown = {name: self.out_of(value.encode("utf-8", "replace")).decode() for name, value in headers.items()}
        return shown if shown != dict(headers) else headers

    @property
    def forms(self) -> tuple[bytes, ...]:
        """How the key may stand in what comes piece by piece; nothing for a placeholder."""
        return self._forms


def _escape_of(character: str) -> bytes:
    """A pattern for what stands behind a backslash where JSON escapes a character."""
    code = f"{ord(character):04x}"
    either = b"|".join(rb"u%s" % each.encode() for each in sorted({code, code.upper()}))
    return b"(?:%s|%s)" % (either, character.encode()) if character in '/"' else b"(?:%s)" % either
