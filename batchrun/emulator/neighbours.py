"""The routes of the resources beside interactions."""

from __future__ import annotations

from collections.abc import Callable

from batchrun.emulator.answers import Answer
from batchrun.emulator.calls import Call
from batchrun.emulator.envelopes import refuse
from batchrun.emulator.files import routes as files
from batchrun.emulator.resources import agents, counting, environments, models, webhooks
from batchrun.emulator.service import Service

_Named = Callable[[Service, Call, str], Answer]
_Plain = Callable[[Service, Call], Answer]
#: Routes of a collection and of one thing in it, by method.
_COLLECTIONS: dict[tuple[str, str], _Plain] = {
    ("GET", "files"): files.list_files,
    ("GET", "models"): models.list_models,
    ("GET", "agents"): agents.list_agents,
    ("POST", "agents"): agents.create,
    ("GET", "environments"): environments.list_environments,
    ("POST", "environments"): environments.create,
    ("GET", "webhooks"): webhooks.list_webhooks,
    ("POST", "webhooks"): webhooks.create,
}
_THINGS: dict[tuple[str, str], _Named] = {
    ("GET", "files"): files.get,
    ("DELETE", "files"): files.delete,
    ("GET", "models"): models.get,
    ("GET", "agents"): agents.get,
    ("DELETE", "agents"): agents.delete,
    ("GET", "environments"): environments.get,
    ("DELETE", "environments"): environments.delete,
    ("GET", "webhooks"): webhooks.get,
    ("PATCH", "webhooks"): webhooks.update,
    ("DELETE", "webhooks"): webhooks.delete,
}
_ELSEWHERE = frozenset(
    {
        *("triggers", "credentials", "voices", "decisions", "fileSearchStores", "cachedContents", "batches"),
        *("tunedModels", "corpora", "auth_tokens"),
    }
)
_CALLS_ELSEWHERE = frozenset(
    {
        *("generateContent", "streamGenerateContent", "batchGenerateContent", "embedContent", "batchEmbedContents"),
        *("predict", "predictLongRunning"),
    }
)
_SERVED = "There are interactions, agents, environments, files, models with countTokens, and webhooks."
_VERBS: dict[tuple[str, str], _Named] = {
    ("models", "countTokens"): counting.count,
    ("webhooks", "ping"): webhooks.ping,
    ("webhooks", "rotateSigningSecret"): webhooks.rotate,
}


def find_neighbour(service: Service, call: Call, path: list[str]) -> Answer | None:
    """The answer to a call of a neighbouring resource, None if there is no such method. `path` begins after v1."""
    if (answer := _route(call.method, path)) is None and not _is_elsewhere(path):
        return None
    call.check_key(service.settings.bad_keys)
    service.outages.check(service.settings.clock(), post=False)
    if answer is None:
        raise refuse("unimplemented", f"{call.method} {call.path!a} is not emulated. {_SERVED}")
    return answer(service, call)


def _is_elsewhere(path: list[str]) -> bool:
    """Whether the service has such a resource, or such a call of a model, and the emulator has not."""
    match path:
        case ["models", call]:
            return call.partition(":")[2] in _CALLS_ELSEWHERE
        case [kind, *_]:
            return kind.partition(":")[0] in _ELSEWHERE
    return False


def _route(method: str, path: list[str]) -> _Plain | None:
    match path:
        case [kind]:
            return _COLLECTIONS.get((method, kind))
        case ["files", name] if method == "GET" and name.endswith(":download"):
            return lambda service, call: files.download(service, call, name.removesuffix(":download"))
        case [kind, name] if name:
            return _of_thing(method, kind, name)
        case ["webhooks", name, "rotate_secret"] if method == "POST":  # so the documentation has it, not the client
            return lambda service, call: webhooks.rotate(service, call, name)
        case ["environments", name, "files", *inner] if method == "GET":
            return lambda service, call: environments.get_file(service, call, name, "/".join(inner).strip("/"))
    return None


def _of_thing(method: str, kind: str, name: str) -> _Plain | None:
    name, _, verb = name.partition(":")
    route = _THINGS.get((method, kind)) if not verb else _VERBS.get((kind, verb)) if method == "POST" else None
    return None if route is None else lambda service, call: route(service, call, name)
