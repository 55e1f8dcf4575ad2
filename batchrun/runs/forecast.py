"""A row's conversation before it is held: its requests as far as they can be known, and what they leave out.

Each answer is taken to be a text that calls no function; what follows it is then decided as in a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from batchrun.engine.bodies import Bodies
from batchrun.engine.conversation import Exchange, RunFunctions, Script, follow
from batchrun.engine.file_bodies import UPLOADED, without_files
from batchrun.engine.request import CHARACTERS_PER_TOKEN, Request, estimate_tokens, next_request, script_of
from batchrun.errors import RowError
from batchrun.inputs.media import Library
from batchrun.interactions.models import MEDIA, Interaction
from batchrun.plurals import counted
from batchrun.spec.load import Job

#: Tokens that an answer is taken to have, unless `max_output_tokens` is less.
ANSWER_TOKENS = 300
#: Makes up the length of a supposed answer. No keyboard has it.
_FILLER = "\ue000"


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a row would send.

    `requests` are the bodies in their order, `tokens` is about what the model reads in all of them, `least` and `most`
    are the interactions of a row that does not fail. `left_out` names what is billed and in no figure.
    """

    requests: tuple[dict[str, Any], ...]
    tokens: int
    least: int
    most: int
    left_out: tuple[str, ...]


def forecast(job: Job, data: dict[str, Any], library: Library) -> Forecast:
    """What a row would send if all goes well. Raises RowError if its first request cannot be made."""
    script = script_of(job, data)
    requests: list[dict[str, Any]] = []
    tokens, unsaid = 0, []
    try:
        for request, body in _requests(job, data, script, library):
            requests.append(body)
            tokens += request.tokens
    except RowError as error:
        if not requests:
            raise
        unsaid = [f"interaction {len(requests) + 1} of a row and those after it, before there are answers: {error}"]
    least, most = _interactions(script)
    left_out = (*unsaid, *dict.fromkeys(_left_out(requests, script)))
    return Forecast(tuple(map(_shown, requests)), tokens, least, most, left_out)


def _requests(
    job: Job, data: dict[str, Any], script: Script, library: Library
) -> Iterator[tuple[Request, dict[str, Any]]]:
    """Each request with its body. Raises RowError at the first that cannot be made."""
    bodies, exchanges = Bodies(job, data, script, job.base), list[Exchange]()
    while (ask := follow(exchanges, script)) is not None:
        assert not isinstance(ask, RunFunctions), "a supposed answer calls nothing"
        request = without_files(job, next_request(bodies, exchanges, ask), library)
        body = request.document()
        yield request, body
        exchanges.append(_supposed(request, body, len(exchanges) + 1))


def _interactions(script: Script) -> tuple[int, int]:
    """The least and the most interactions of a row that does not fail."""
    if script.plans and script.approve == "hold":
        return 1, 1
    least = script.turns + script.plans
    return least, least + (script.turns * script.rounds if script.functions else 0)


def _supposed(request: Request, body: dict[str, Any], number: int) -> Exchange:
    """An interaction that has gone well. Of what it read, only what was said goes on to the next one."""
    config = body.get("generation_config")
    limit = config.get("max_output_tokens") if isinstance(config, dict) else None
    tokens = min(ANSWER_TOKENS, limit) if type(limit) is int and limit > 0 else ANSWER_TOKENS
    text = f"<answer {number}, not known yet>".ljust(tokens * CHARACTERS_PER_TOKEN, _FILLER)
    said = request.tokens - estimate_tokens({**body, "input": ""})
    answer = {
        "id": f"ID-OF-INTERACTION-{number}",
        "status": "completed",
        "steps": [{"type": "model_output", "content": [{"type": "text", "text": text}]}],
        "usage": {"total_tokens": said + tokens},
    }
    return Exchange(0, Interaction(answer | ({"environment_id": "ID-OF-ENVIRONMENT"} if "environment" in body else {})))


def _shown(value: Any) -> Any:
    """A body without the filler of supposed answers."""
    match value:
        case str():
            return value.replace(_FILLER, "")
        case list():
            return [_shown(item) for item in value]
        case dict():
            return {name: _shown(item) for name, item in value.items()}
    return value


def _left_out(requests: Sequence[dict[str, Any]], script: Script) -> Iterator[str]:
    if script.functions:
        rounds = counted(script.rounds, "round")
        yield f"calls of your functions: up to {rounds} a turn, each an interaction that reads all before it again"
    if script.plans and script.approve == "hold":
        yield "carrying out the plans: one more interaction for each that you approve"
    for body in requests:
        if tools := ", ".join(dict.fromkeys(_tools(body))):
            yield f"what the service's own tools find ({tools}); searches are billed apart from tokens"
        if "agent" in body:
            yield f"what the agent reads while it works{_bound(body)}"
        if any(_is_remote(block) for block in _blocks(body.get("input"))):
            yield "files behind addresses, of which nothing is known before they are fetched"


def _tools(body: dict[str, Any]) -> Iterator[str]:
    tools = body.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict) and tool.get("type") != "function":
            yield str(tool.get("type"))


def _bound(body: dict[str, Any]) -> str:
    config = body.get("agent_config")
    most = str(config.get("max_total_tokens")) if isinstance(config, dict) else ""
    known = most.isdecimal() and len(most) < 20
    return f"; it stops at {int(most):,} tokens an interaction (max_total_tokens)" if known else ""


def _blocks(value: Any) -> Iterator[dict[str, Any]]:
    """The content blocks of an input, whether they stand alone, in a list or in steps."""
    if isinstance(value, list):
        for item in value:
            yield from _blocks(item)
    elif isinstance(value, dict):
        yield value
        yield from _blocks(value.get("content"))


def _is_remote(block: dict[str, Any]) -> bool:
    uri = block.get("uri")
    return block.get("type") in MEDIA and isinstance(uri, str) and not uri.endswith(UPLOADED)
