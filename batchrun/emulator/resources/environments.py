"""Environments: the sandboxes of agents. A call to an agent makes one; it goes away after seven idle days."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchrun.emulator.answers import Answer, json_answer
from batchrun.emulator.calls import Call
from batchrun.emulator.draws import digest
from batchrun.emulator.envelopes import invalid, refuse
from batchrun.emulator.reading import read_body
from batchrun.emulator.resources.paging import page_asked, token_of
from batchrun.emulator.resources.sources import inline_files
from batchrun.emulator.resources.table import Document
from batchrun.emulator.rules import checks
from batchrun.emulator.rules.config import network
from batchrun.emulator.service import Service
from batchrun.emulator.views import timestamp

_IDLE = 7 * 86400.0
_CREATE = checks.record(
    {"sources": checks.list_of(checks.mapping), "network": network, "from_environment": checks.text}
)


def environment_asked(asked: object) -> str | None:
    """The id that a request's `environment` names; None where it wants a new one."""
    named = asked.get("environment_id") if isinstance(asked, dict) else asked
    return named if isinstance(named, str) and named != "remote" else None


def new_environment(*drawn: object) -> str:
    made = digest("environment", *drawn).hex()
    return f"{made[:8]}-{made[8:12]}-4{made[13:16]}-8{made[17:20]}-{made[20:32]}"


def check_environment(service: Service, asked: object, now: float) -> None:
    """A sandbox that was deleted is not found. One that nobody has seen is simply a fresh one of that name."""
    inline_files(asked)
    name = environment_asked(asked)
    known = service.environments.get(name) if name is not None else None
    if name is not None and known is not None and not _alive(known, now):
        raise _not_found(name)


def visit(service: Service, name: str, asked: object, files: Mapping[str, str], now: float) -> None:
    """An interaction has worked in an environment and left files there."""
    known = service.environments.get(name) or _new(name, asked if isinstance(asked, dict) else {}, now)
    known["files"] = {**known["files"], **inline_files(asked), **files}
    service.environments.put(name, {**known, "updated": now, "last_accessed": now})


def _new(name: str, asked: Mapping[str, Any], now: float) -> Document:
    given = {field: asked[field] for field in ("sources", "network") if asked.get(field) is not None}
    stamps = {"created": now, "updated": now, "last_accessed": now}
    return {"id": name, **stamps, "files": inline_files(asked), "given": given}


def create(service: Service, call: Call) -> Answer:
    asked = read_body(call.body) if call.body.strip() else {}
    _CREATE(asked, "environment")
    now = service.settings.clock()
    service.counts.environments += 1
    name = new_environment(service.settings.seed, service.counts.environments, now, call.body)
    made = _new(name, asked, now)
    if asked.get("from_environment"):
        made["files"] = _forked(service, asked, now)
    service.environments.put(name, made)
    return json_answer(200, _view(made, now))


def _forked(service: Service, asked: Mapping[str, Any], now: float) -> dict[str, str]:
    if asked.get("sources"):
        raise invalid("'sources' must be empty when 'from_environment' is set.")
    files: dict[str, str] = _find(service, asked["from_environment"].removeprefix("environments/"), now)["files"]
    return files


def get(service: Service, call: Call, name: str) -> Answer:
    now = service.settings.clock()
    return json_answer(200, _view(_find(service, name, now), now))


def delete(service: Service, call: Call, name: str) -> Answer:
    found = _find(service, name, service.settings.clock())
    service.environments.put(name, {**found, "deleted": True, "files": {}})
    return Answer(200, b"{}")


def list_environments(service: Service, call: Call) -> Answer:
    size, after = page_asked(call, default=50, most=1000)
    now = service.settings.clock()
    found, following = service.environments.page(size, after)
    more = {} if following is None else {"next_page_token": token_of(following)}
    return json_answer(200, {"environments": [_view(one, now) for one in found if _alive(one, now)], **more})


def get_file(service: Service, call: Call, name: str, path: str) -> Answer:
    """A file, or the files under a folder; the bytes with `alt=media`."""
    found = _find(service, name, service.settings.clock())
    files: dict[str, str] = found["files"]
    if call.query.get("alt") == "media":
        if path not in files:
            raise refuse("not_found", f"File {path!a} not found.")
        return Answer(200, files[path].encode(), b"application/octet-stream")
    shown = {name: text for name, text in files.items() if not path or name == path or name.startswith(f"{path}/")}
    if path and not shown:
        raise refuse("not_found", f"File {path!a} not found.")
    return json_answer(200, {"files": [_file_view(name, text, found) for name, text in shown.items()]})


def _file_view(path: str, text: str, environment: Document) -> dict[str, Any]:
    stamp = timestamp(environment["updated"])
    size = str(len(text.encode()))
    name = path.rpartition("/")[2]
    return {"name": name, "path": path, "type": "file", "size_bytes": size, "created": stamp, "modified": stamp}


def _view(environment: Document, now: float) -> dict[str, Any]:
    sizes = [len(text.encode()) for text in environment["files"].values()]
    stamps = {name: timestamp(environment[name]) for name in ("created", "updated", "last_accessed")}
    counted = {"file_count": str(len(sizes)), "size_bytes": str(sum(sizes))}
    return {"id": environment["id"], "status": "active", **environment["given"], **stamps, **counted}


def _alive(environment: Document, now: float) -> bool:
    return not environment.get("deleted") and bool(now < environment["last_accessed"] + _IDLE)


def _find(service: Service, name: str, now: float) -> Document:
    found = service.environments.get(name)
    if found is None or not _alive(found, now):
        raise _not_found(name)
    return found


def _not_found(name: str) -> Exception:
    return refuse("not_found", f"Environment {name!a} not found.")
