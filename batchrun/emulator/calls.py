"""One HTTP request, as the routes see it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from batchrun.emulator.envelopes import bad_key, invalid, missing_key

_DATE = re.compile(rb"\d{4}-\d{2}-\d{2}")
#: The first revision with steps; what came before was switched off.
_FIRST_REVISION = b"2026-05-07"


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has been read in full. Header names are in lower case."""

    method: str
    path: str
    query_string: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        if not self.query_string:
            return {}
        return dict(parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True))

    def header(self, name: str) -> str:
        """The value of a header, empty if it was not sent."""
        wanted = name.encode()
        return next((value.decode("latin-1") for key, value in self.headers if key == wanted), "")

    @property
    def origin(self) -> str:
        """The address that the client used, without a path."""
        return f"http://{self.header('host') or 'localhost'}"

    @property
    def api_key(self) -> str:
        """The key from `x-goog-api-key`, an Authorization bearer or `?key=`; empty if there is none."""
        for name, value in self.headers:
            if name == b"x-goog-api-key" and value:
                return value.decode("latin-1")
            if name == b"authorization" and value[:7].lower() == b"bearer ":
                return value[7:].strip().decode("latin-1")
        return self.query.get("key", "")

    def check_revision(self) -> None:
        """Raise `Refusal` for a revision from before the steps; any other is taken, as is none."""
        for name, value in self.headers:
            if name == b"api-revision" and _DATE.fullmatch(value) and value < _FIRST_REVISION:
                told = value.decode("ascii")
                raise invalid(f"Api-Revision {told}: the legacy Interactions API schema is no longer supported.")

    def check_key(self, bad_keys: frozenset[str]) -> None:
        key = self.api_key
        if not key:
            raise missing_key()
        if key in bad_keys:
            raise bad_key()
