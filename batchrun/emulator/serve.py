"""The emulator on a real socket: uvicorn with httptools and uvloop, ended cleanly by SIGTERM and SIGINT.

Connections are broken by a hook in the protocol: every request's ASGI scope carries a function that closes its
transport (see `drops.py`), so a client reads a true EOF or reset.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from batchrun.emulator.drops import CLOSE
from batchrun.emulator.emulator import Emulator
from batchrun.emulator.hooks.sending import keep_sending
from batchrun.emulator.service import Counts, Service
from batchrun.emulator.settings import EmulatorSettings
from batchrun.errors import SpecError

#: As long as the service's front ends keep an idle connection; a poll every minute still finds it open.
_KEEP_ALIVE_SECONDS = 240
_BACKLOG = 4096
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: Closing a socket with this set sends a reset instead of an orderly end.
_LINGER_ZERO = struct.pack("ii", 1, 0)


def serve(
    settings: EmulatorSettings,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    announce: Callable[[str], None] | None = None,
) -> Counts:
    """Serve until SIGTERM or SIGINT, then return what was asked for. `announce` gets the base URL as soon as requests
    are answered; by default it is printed. Port 0 lets the system choose. Raises SpecError if the address cannot be
    used.
    """
    with _signals_waiting(), closing(_listen(host, port)) as listener, closing(Emulator(settings)) as emulator:
        _run(emulator, listener, announce or _print)
        return emulator.counts


@contextlib.contextmanager
def _signals_waiting() -> Iterator[None]:
    """Until the server captures them, signals wait. An exception of a handler is lost where Python cannot raise it, in
    a callback of a weak reference for example, and imports are full of these."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _print(url: str) -> None:
    print(url, flush=True)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)  # before a model is loaded: two that start at once must not both have the port
    except (OSError, OverflowError) as error:
        listener.close()
        raise SpecError(f"cannot listen on {host}:{port} ({error}); choose another port, 0 for any") from error
    return listener


def _run(emulator: Emulator, listener: socket.socket, announce: Callable[[str], None]) -> None:
    config = uvicorn.Config(
        emulator.app,
        http=ClosableProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
        backlog=_BACKLOG,
    )
    server = _Server(config, emulator.service, _base_url(listener), announce)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=[listener]))


def _base_url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """Says when it is ready, and takes a signal as a request to end, not as its own death."""

    def __init__(self, config: uvicorn.Config, service: Service, url: str, announce: Callable[[str], None]) -> None:
        super().__init__(config)
        self._service = service
        self._url = url
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._messages = asyncio.create_task(keep_sending(self._service))
        self._announce(self._url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answers that still wait for their time are not waited for; the ledger has their lines."""
        for task in list(self.server_state.tasks):
            task.cancel()
        self._messages.cancel()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        yield


class ClosableProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with a function in every scope that closes the connection at once."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope["extensions"] = {CLOSE: self._break}

    def _break(self, reset: bool) -> None:
        if self.cycle is not None:
            self.cycle.disconnected = True  # else uvicorn would answer 500 for an app that did not answer
        if reset:
            connection: socket.socket = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
            self.transport.abort()
        else:
            self.transport.close()
