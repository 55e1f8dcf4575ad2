"""Where the content of answers comes from (`--replies`): made up, from a script, from a model on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from batchrun.emulator.outcome import Outcome
from batchrun.emulator.prompts import Prompt
from batchrun.emulator.replies.gguf import GgufFile
from batchrun.emulator.replies.model_server import ModelServer
from batchrun.emulator.rules.checks import is_web_address
from batchrun.emulator.rules.request import Order
from batchrun.errors import SpecError

_FORMS = "synthetic, script:FILE, openai:URL or gguf:PATH"


class Replies(Protocol):
    """The end of an interaction. `made` makes the synthetic one, or raises what the service would refuse with.

    `ASKED` stands for an end that a model server will tell later.
    """

    def __call__(self, order: Order, prompt: Prompt, made: Callable[[], Outcome]) -> Outcome: ...


def synthetic(order: Order, prompt: Prompt, made: Callable[[], Outcome]) -> Outcome:
    return made()


def load_replies(text: str) -> Replies:
    """Replies as people write them. Raises SpecError for anything else, and for a script that is wrong."""
    kind, _, rest = text.strip().partition(":")
    if kind == "synthetic" and not rest:
        return synthetic
    if kind == "script" and rest:
        from batchrun.emulator.replies.script import load_script

        return load_script(Path(rest))
    if kind == "openai" and rest:
        return _model_server(rest)
    if kind == "gguf" and rest:
        return GgufFile.checked(Path(rest))
    raise SpecError(f"--replies {text!r}: write {_FORMS}")


def _model_server(address: str) -> ModelServer:
    if not is_web_address(address):
        raise SpecError(f"--replies openai:{address}: write an address such as openai:http://127.0.0.1:8080/v1")
    parts = urlsplit(address)
    if "@" in parts.netloc:  # the address is part of messages, which end up in files
        raise SpecError("--replies openai: leave name and password out of the address; they are not sent")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(set(options) - {"model", "at_once"})
    at_once = options.get("at_once", "4")
    if unknown or not at_once.isdecimal() or int(at_once) < 1:
        raise SpecError(f"--replies openai:{address}: its options are ?model=NAME and &at_once=NUMBER")
    url = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    return ModelServer(url, options.get("model"), int(at_once))
