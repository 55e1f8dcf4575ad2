"""Which service a run talks to, and with which key. The job file has no say in either."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from batchrun.emulator import Emulator, EmulatorSettings
from batchrun.environment import KEY_VARIABLES, keys, unread
from batchrun.errors import CredentialError, SpecError
from batchrun.interactions.addresses import LOOPBACK, is_base
from batchrun.interactions.client import DEFAULT_BASE_URL, Client
from batchrun.interactions.in_process import InProcess
from batchrun.interactions.pieces import Piece
from batchrun.interactions.secret import Secret
from batchrun.interactions.streaming import StreamingClient
from batchrun.spec.reading.credentials import without_keys

#: How an emulator in this process calls itself, in the addresses of uploads.
IN_PROCESS = "http://localhost"
#: Keys of no more characters are somebody's own, for a server of theirs, and may be words.
_SHORT = 16
#: Told what a streamed answer brings.
Tell = Callable[[Piece], None]


def remote_client(base_url: str, version: str, tell: Tell | None = None) -> Client:
    """A client for the service at an address; with `tell` one that streams. Raises CredentialError without a key."""
    return _client(api_key(base_url), tell, base_url=base_url, version=version)


def emulated_client(settings: EmulatorSettings, version: str, tell: Tell | None = None) -> Client:
    """A client for an emulator in this process, which is closed with it."""
    emulator = Emulator(settings)
    transport = InProcess(emulator.app, emulator.close)
    return _client(Secret("emulator"), tell, base_url=IN_PROCESS, version=version, transport=transport)


def _client(key: Secret, tell: Tell | None, **options: Any) -> Client:
    return Client(key, **options) if tell is None else StreamingClient(key, tell=tell, **options)


def api_key(base_url: str) -> Secret:
    """The key from the environment or its file; a service on this machine needs none. Raises CredentialError."""
    for name, key in [(name, Secret(value)) for name, value in keys()]:  # no traceback of this frame has the value
        if not key.sendable:
            raise CredentialError(f"{name} holds characters that no API key has (quotes, spaces?). Nothing was sent.")
        return key
    if is_loopback(base_url):
        return Secret("none")
    if told := "; ".join(unread()):
        raise CredentialError(f"No API key: {told}. Nothing was sent.")
    raise CredentialError(
        f"No API key: set {KEY_VARIABLES[0]} (or {KEY_VARIABLES[1]}), or {KEY_VARIABLES[0]}_FILE to the path of a file "
        "with it, or rehearse with `--emulator`. Nothing was sent."
    )


def address_of(base_url: str | None) -> str:
    """The address of the service: the real one, unless another is named."""
    return DEFAULT_BASE_URL if base_url is None else base_url


def is_loopback(base_url: str) -> bool:
    """True for an address on this machine."""
    return urlsplit(base_url).hostname in LOOPBACK


def checked_base_url(base_url: str) -> str:
    """The address without its last slash. Raises SpecError unless the key is safe on the way there.

    It is kept with the run and shown, so it may hold nothing that is no address: `?key=…`, or a name and a password.
    """
    if any(len(key) > _SHORT and key in base_url for _, key in keys()) or without_keys(base_url) != base_url:
        raise SpecError("--base-url: an API key does not belong in an address; set GEMINI_API_KEY in the environment.")
    if is_base(base_url):
        return base_url.rstrip("/")
    raise SpecError(
        "--base-url: write https://HOST, or http://localhost:PORT for a server on this machine; a path may follow, "
        "but no user, no query and no fragment."
    )
