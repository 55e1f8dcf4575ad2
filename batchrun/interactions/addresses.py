"""Which addresses may be asked for what. Pure."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: Nothing that two readers of an address could take for two hosts.
_PLAIN = re.compile(r"[!-\[\]-~]+")


def is_plain(url: str) -> bool:
    return bool(_PLAIN.fullmatch(url))


def is_base(url: str) -> bool:
    """Whether a service may have this address: the key is safe on the way there, and paths can be put behind it."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # read late, and perhaps no number
    except ValueError:
        return False
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    return safe and bool(parts.hostname) and is_plain(url) and not set("@?#") & set(url)


def safe_origin(base_url: str) -> str | None:
    """Scheme and host of the service, None where the key would not be safe on the way there."""
    parts = urlsplit(base_url)
    if parts.scheme == "https" or parts.hostname in LOOPBACK:
        return f"{parts.scheme}://{parts.netloc}"
    return None


def led_to(there: str, location: str, first: str) -> str | None:
    """Where a redirect leads, None for what is not followed.

    https leads to https, except to this machine; a service on this machine may also lead to itself as it is.
    """
    try:
        following = urljoin(there, location) if location else ""
        parts, start = urlsplit(following), urlsplit(first)
        local = parts.hostname in LOOPBACK
    except ValueError:
        return None
    if not is_plain(following) or not parts.hostname or parts.username is not None:
        return None
    if local:
        return following if start.hostname in LOOPBACK and parts.scheme in ("https", start.scheme) else None
    return following if parts.scheme == "https" else None
