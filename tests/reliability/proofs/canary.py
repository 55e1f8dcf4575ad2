"""A key that must be found nowhere: a server that quotes it wherever it can, users who put it where it does not belong.

What is searched: all files of a run, SQLite's cells and Parquet unpacked; standard output and error of commands;
command lines and environments of child processes; errors with the variables of all their frames; and what objects
that hold the key show when they are printed, pickled or copied.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import httpx

from batchrun.environment import KEY_VARIABLES
from batchrun.errors import CredentialError
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Call
from batchrun.interactions.secret import Secret
from batchrun.interactions.streaming import StreamingClient
from batchrun.interactions.transport import AiohttpTransport
from batchrun.runs.service import api_key
from tests.processes import emulator
from tests.reliability.canary import Canary, a_key
from tests.reliability.echoes import ECHOES
from tests.reliability.fates import Life as Fated
from tests.reliability.figures import Figure
from tests.reliability.lines import On, Proxy, Way
from tests.reliability.lives import lived
from tests.reliability.planted import Step, nothing
from tests.reliability.proofs.network import Wired
from tests.reliability.scratch import scratch
from tests.reliability.ways import KINDS

_STRIKES = 2
#: Ways in which a call ends at once, and with an error.
_BREAKING = (
    "reset on connect",
    "reset in the head of the request",
    "reset in the body of the request",
    "closed after the request",
    "no status line",
    "a TLS alert",
    "a header without an end",
    "a NUL in a header",
    "gzip of garbage",
)
_SHORT = 9
_FUNCTIONS = '''
import os

def tell(word: str) -> str:
    """Tells a secret."""
    return os.environ["GEMINI_API_KEY"]

def fail(word: str) -> str:
    """Fails."""
    raise ValueError(f"not with {dict(os.environ)}")
'''


def quoted(name: str, on: On, key: str) -> Iterator[str]:
    """Where the key of a run is found whose server quotes it in this way."""
    canary, proxy = Canary(key), Proxy(ECHOES[name], on, Random(name), rate=1.0, most=_STRIKES)
    with scratch() as folder, closing(proxy), _environment(key):
        world = Wired(Path(folder), 0, name, "hold", proxy, stored=on == "GET")
        results = [world.live(Fated()), world.live(Fated(after=1.0))]
        if canary("\n".join(world.broken)):
            yield "what a life broke of"
        for result in results:
            if result is not None:
                yield from canary.objects(result=result)
                yield from canary.errors(result.stopped_by)
        yield from canary.files(world.where)
    if not proxy.struck:
        yield f"nothing was quoted ({on})"


@contextmanager
def _environment(key: str) -> Iterator[None]:
    before = {name: os.environ.pop(name, None) for name in KEY_VARIABLES}
    os.environ[KEY_VARIABLES[0]] = key
    try:
        yield
    finally:
        del os.environ[KEY_VARIABLES[0]]
        os.environ.update({name: value for name, value in before.items() if value is not None})


class _Watched(AiohttpTransport):
    """A transport that notes what it is asked for, and what it raises."""

    def __init__(self, requests: list[httpx.Request], raised: list[BaseException]) -> None:
        super().__init__(total_timeout=0.3, max_body_bytes=2**20)
        self._note, self._note_error = requests.append, raised.append

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._note(request)
        try:
            return await super().handle_async_request(request)
        except BaseException as error:
            self._note_error(error)
            raise


def called(way: Way, key: str, *, quotes: bool = False, tls: bool = False) -> Iterator[str]:
    """Where the key is found after each kind of call to a server that does this; with `tls` it is taken for safe.

    Errors that the transport raises go no further than the client; those of a server that `quotes` may hold its words.
    """
    with scratch() as folder:
        yield from asyncio.run(_called(Path(folder), way, key, quotes, tls))


async def _called(folder: Path, way: Way, key: str, quotes: bool, tls: bool) -> list[str]:
    requests: list[httpx.Request] = []
    raised: list[BaseException] = []
    canary, found = Canary(key), list[str]()
    with closing(Proxy(way, "connection" if tls else "any", Random(0), rate=1.0, most=99)) as proxy:
        base = f"http{'s' if tls else ''}://127.0.0.1:{proxy.port}"
        transport = _Watched(requests, raised)
        client = StreamingClient(Secret(key), tell=lambda _: None, base_url=base, transport=transport)
        async with proxy.passing(1):
            await asyncio.sleep(0.01)
            for make in _calls(client, base, folder):
                found += canary.objects(call=await make())
        await client.aclose()
    if not quotes:
        found += [place for error in raised for place in canary.errors(error)]
    for request in requests:
        found += canary.objects(request=request, headers=request.headers)
    return [*found, *canary.objects(client=client), *canary.files(folder)]


def _calls(client: StreamingClient, base: str, folder: Path) -> tuple[Callable[[], Awaitable[Call]], ...]:
    return (
        lambda: Client.create(client, b"{}"),
        lambda: client.create(b"{}"),
        lambda: client.get("v1_x"),
        client.models,
        lambda: client.beside("POST", f"{base}/upload", {}),
        lambda: client.download(f"{base}/v1beta/files/x:download", folder / "file"),
    )


def _prepared(key: str, planted: Step) -> None:
    """A process that has the key, logs all that it can, and shows the variables of every frame of an error."""
    os.environ[KEY_VARIABLES[0]] = key
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    planted()


#: What users do with a key, by name: changes of the job, and arguments. {key} stands for it.
_MISTAKES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "nothing": ({}, ()),
    "a field of the job": ({"api_key": "{key}"}, ()),
    "a field of the request": ({"request": {"input": "Hi", "model": "m", "api_key": "{key}"}}, ()),
    "the prompt": ({"request": {"model": "gemini-3.5-flash", "input": "Say {key}"}}, ()),
    "a name of a field": ({"{key}": 1}, ()),
    "a header of a tool": ({"request": {"model": "m", "input": "x", "tools": [{"headers": {"a": "{key}"}}]}}, ()),
    "a value of --set": ({}, ("--set", "request.input={key}")),
    "a name of --set": ({}, ("--set", "{key}=1")),
    "the address": ({}, ("--base-url", "https://127.0.0.1:1/?key={key}")),
    "a name in the address": ({}, ("--base-url", "https://{key}@127.0.0.1:1/")),
    "an option": ({}, ("--api-key", "{key}")),
    "what a function tells": ({"request": {"functions": "telling"}}, ()),
}


def mistaken(where: Path, url: str, name: str, key: str, planted: Step = nothing) -> Iterator[str]:
    """Where the key is found after a command whose user put it there."""
    changes, arguments = _MISTAKES[name]
    canary, here = Canary(key), where / name.replace(" ", "_")
    here.mkdir()
    (here / "telling.py").write_text(_FUNCTIONS)
    (here / "rows.jsonl").write_text('{"id": "r0", "word": "Oslo"}\n')
    request = {"model": "gemini-3.5-flash", "input": "Call tell with {{ word }} and call fail with {{ word }}"}
    spec = {"name": "job", "input": {"path": "rows.jsonl", "key": "id"}, "poll": {"first": "20ms"}, "request": request}
    spec |= {**changes, "request": {**request, **changes.get("request", {})}}
    job = here / "job.json"
    job.write_text(json.dumps(spec).replace("{key}", key))
    address = () if "--base-url" in arguments else ("--base-url", url)
    words = ("run", "job.json", *address, *(word.replace("{key}", key) for word in arguments))
    first = partial(_prepared, key, planted)
    for each in (words, ("status", "job.json", "--json"), ("show", "job.json", "r0"), ("verify", "job.json")):
        end = lived(here, *each, first=first)
        said = end.out + end.err
        yield from (f"{each[0]} says it: {said[:300]!r}" for _ in range(canary(said)))
    job.unlink()
    yield from canary.files(here)


def holders(key: str) -> Iterator[str]:
    """Where the key is found in the objects that have to hold it, and in errors about it."""
    canary = Canary(key)
    with _environment(key):
        yield from canary.objects(secret=api_key(""), client=Client(api_key("")))
    with _environment(f'"{key} "'):
        try:
            api_key("")
        except CredentialError as error:
            inner = error.__traceback__ and error.__traceback__.tb_next  # without this very frame
            yield from canary.errors(error.with_traceback(inner))


def prove(where: Path, *, full: bool) -> list[Figure]:
    """All kinds, or in short every fifth; keys of both of Google's forms in turn."""
    found: list[str] = []
    kinds = [(name, on) for name in ECHOES for on in ("POST", "GET")][:: 1 if full else _SHORT]
    keys = [a_key(n, form) for n, form in enumerate(("AI" + "za", "AQ" + "."))]
    for number, (name, on) in enumerate(kinds):
        found += [f"{name} ({on}): {place}" for place in quoted(name, on, keys[number % 2])]
    breaking = {name: KINDS[name].way for name in _BREAKING}
    ways = {**breaking, **ECHOES}
    found += [f"TLS: {place}" for place in called(KINDS["closed on connect"].way, keys[0], tls=True)]
    for name in list(ways)[:: 1 if full else _SHORT]:
        found += [f"{name}: {place}" for place in called(ways[name], keys[0], quotes=name in ECHOES)]
    mistakes = list(_MISTAKES)[0 if full else -1 :]
    with emulator(where, "--latency", "0s") as url:
        for name in mistakes:
            found += [f"{name}: {place}" for place in mistaken(where, url, name, keys[0])]
    found += [f"holders: {place}" for key in keys for place in holders(key)]
    return [_figure(found, len(kinds), len(ways) if full else len(list(ways)[::_SHORT]), len(mistakes))]


def _figure(found: Sequence[str], runs: int, ways: int, mistakes: int) -> Figure:
    return Figure(
        "canary key: places where it is found",
        "0, with at least 30 kinds of errors",
        f"{len(found)}",
        not found,
        "; ".join(found[:10])
        or f"{runs} runs and {ways} rounds of calls with a server that quotes it, {mistakes} mistakes of users",
    )
