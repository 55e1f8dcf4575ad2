"""How a connection is broken on purpose.

Over a socket (`serve.py`) the server puts a closing function into each request's ASGI scope under `CLOSE`; the app
calls it, so the client really reads EOF or a reset. In-process, over `httpx.ASGITransport`, there is no connection: the
app raises one of the exceptions below, which are httpx errors, so that the client sees what it would on a socket.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

import httpx

#: Name of the closing function among a scope's extensions. Its argument: True for a reset, False for an orderly EOF.
CLOSE = "batchrun.close"
Close = Callable[[bool], None]


class ConnectionDropped(httpx.RemoteProtocolError):
    """The emulator closed the connection before its answer was complete."""


class ConnectionLost(httpx.ReadError):
    """The emulator reset the connection."""


class ConnectionRefused(httpx.ConnectError):
    """The emulator did not accept the connection; not one byte was read."""


def closer(scope: MutableMapping[str, Any]) -> Close | None:
    """The function that closes this request's connection; None in-process."""
    close: Close | None = scope.get("extensions", {}).get(CLOSE)
    return close
