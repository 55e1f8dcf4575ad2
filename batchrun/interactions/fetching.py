"""Fetches files from hosts that the job lists, and from nowhere else: https only, public addresses only, to disk.

The address is checked when the socket is made, so a name that changes between two look-ups gains nothing. A proxy
would hide the address, so none is used. The API key goes nowhere here.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.connector import AddrInfoType
from yarl import URL

from batchrun.errors import RowError
from batchrun.interactions.transport import in_words

MOST_BYTES = 2_000_000_000
_MOST_REDIRECTS = 5
_TRIES = 3
#: IPv4 addresses as IPv6 networks without IPv4 see them.
_NAT64 = IPv6Network("64:ff9b::/96")
#: What is given out as addresses of the open internet. Beyond it are more ways to write or reach IPv4 addresses.
_ALLOCATED = IPv6Network("2000::/3")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 429, 500, 502, 503, 504})


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet: not private, loopback, link-local, multicast or reserved."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        translated = IPv4Address(int(ip) & 0xFFFF_FFFF) if ip in _NAT64 else None
        inner = ip.ipv4_mapped or ip.sixtofour or translated
        return is_public(str(inner)) if inner else _is_open(ip) and ip in _ALLOCATED
    return _is_open(ip)


def _is_open(ip: IPv4Address | IPv6Address) -> bool:
    return ip.is_global and not ip.is_multicast


class Fetcher:
    """Gets files from `hosts`. `allowed` judges the address connected to, `trust` the certificates (None: system's).

    Times in seconds. Close it with `aclose`.
    """

    def __init__(
        self,
        hosts: frozenset[str],
        *,
        allowed: Callable[[str], bool] = is_public,
        trust: ssl.SSLContext | None = None,
        most_bytes: int = MOST_BYTES,
        timeout: float = 600.0,
        pause: float = 2.0,
    ) -> None:
        self._hosts, self._allowed, self._trust = hosts, allowed, trust
        self._most_bytes, self._timeout, self._pause = most_bytes, timeout, pause
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, url: str, into: Path) -> None:
        """Write what is at `url` into a new file. Raises RowError (`fetch_refused`, `fetch_failed`)."""
        for number in range(_TRIES):
            if number:
                await asyncio.sleep(self._pause * 2.0**number)
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._follow(url, into)
            except _Passing as error:
                said = str(error)
            except TimeoutError:
                said = f"not complete within {self._timeout:g} s"
            except (aiohttp.InvalidURL, ValueError) as error:
                raise RowError("fetch_failed", f"{url[:200]!r} is no address: {error}") from None
            except (aiohttp.ClientError, OSError) as error:
                if (forbidden := _forbidden_in(error)) is not None:
                    raise RowError("fetch_refused", f"{url[:200]!r}: {forbidden}") from None
                said = in_words(error)
        raise RowError("fetch_failed", f"{url[:200]!r} cannot be fetched: {said}")

    async def _follow(self, url: str, into: Path) -> None:
        there = url
        for _ in range(_MOST_REDIRECTS + 1):
            self._require_allowed(url, there)
            async with self._opened().get(URL(there), allow_redirects=False) as answer:
                if answer.status not in _REDIRECTS:
                    return await self._save(url, answer, into)
                there = urljoin(there, answer.headers.get("Location", ""))
        raise RowError("fetch_failed", f"{url[:200]!r} redirects more than {_MOST_REDIRECTS} times")

    def _require_allowed(self, url: str, there: str) -> None:
        parts, first = urlsplit(there), urlsplit(url)
        if parts.scheme != "https" or parts.hostname not in self._hosts or parts.username is not None:
            raise RowError("fetch_refused", f"{there[:200]!r}: only https and the hosts in `request.fetch` are fetched")
        if (parts.hostname, parts.port) != (first.hostname, first.port):
            raise RowError("fetch_refused", f"{url[:200]!r} leads to another host ({parts.hostname})")

    async def _save(self, url: str, answer: aiohttp.ClientResponse, into: Path) -> None:
        if answer.status in _PASSING:
            raise _Passing(f"HTTP {answer.status}")
        if answer.status != 200:
            raise RowError("fetch_failed", f"{url[:200]!r}: HTTP {answer.status}")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise RowError("fetch_failed", f"{url[:200]!r} is compressed, which was not asked for")
        size = 0
        with into.open("wb") as file:
            async for chunk in answer.content.iter_any():
                size += len(chunk)
                if size > self._most_bytes:
                    raise RowError("fetch_failed", f"{url[:200]!r} is longer than {self._most_bytes:,} bytes")
                file.write(chunk)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._trust or True, socket_factory=self._socket, limit=8),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                headers={"User-Agent": "batchrun", "Accept-Encoding": "identity"},
            )
        return self._session

    def _socket(self, info: AddrInfoType) -> socket.socket:
        """Called with the very address that is about to be connected to."""
        family, kind, protocol, _, address = info
        if not self._allowed(str(address[0])):
            raise _Forbidden(f"{address[0]} is no address of the open internet")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


class _Passing(Exception):
    """The server may do better in a while."""


class _Forbidden(OSError):
    """The address may not be connected to."""


def _forbidden_in(error: BaseException | None) -> _Forbidden | None:
    """The refusal behind what aiohttp makes of it."""
    while error is not None:
        if isinstance(error, _Forbidden):
            return error
        if isinstance(error, BaseExceptionGroup):
            return next((found for each in error.exceptions if (found := _forbidden_in(each)) is not None), None)
        error = error.__cause__ or error.__context__ or getattr(error, "os_error", None)
    return None
