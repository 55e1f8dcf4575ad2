"""A row's conversation (or the rest of one) before it is held: its requests as far as they can be known, and what they
leave out.

Each answer is taken to be a text that calls no function; what follows it is then decided as in a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batchrun.engine.bodies import Bodies
from batchrun.engine.conversation import Exchange, Place, RunFunctions, Script, follow, place_after
from batchrun.engine.estimates import CHARACTERS_PER_TOKEN, reading_of
from batchrun.engine.file_bodies import UPLOADED, without_files
from batchrun.engine.request import Request, next_request, script_of
from batchrun.errors import RowError
from batchrun.inputs.media import Library
from batchrun.interactions.models import MEDIA, FunctionCall, Interaction
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
    are the interactions that a row still takes if it does not fail. `left_out` names what is billed and in no figure.
    """

    requests: tuple[dict[str, Any], ...]
    tokens: int
    least: int
    most: int
    left_out: tuple[str, ...]


def forecast(
    job: Job, data: dict[str, Any], library: Library, begun: Sequence[Exchange] = (), *, media: Path | None = None
) -> Forecast:
    """What a row would send, after the exchanges it has `begun` with, if all goes well.

    `media` is where the files of their answers are. Raises RowError if a request cannot be made, whatever is answered.
    """
    script = script_of(job, data)
    bodies, place = Bodies(job, data, script, media or job.base), place_after(begun, script)
    requests: list[dict[str, Any]] = []
    tokens, unsaid = 0, []
    try:
        for request, body in _requests(bodies, begun, library):
            requests.append(body)
            tokens += request.tokens
    except RowError as error:
        turn = place.turn + len(requests) - place.planning
        if not requests:
            raise
        if not job.request.turns[turn].reads_answers:
            raise RowError(error.kind, f"turns[{turn}]: {error}") from None
        number = len(begun) + len(requests) + 1
        unsaid = [f"interaction {number} of a row and those after it, before there are answers: {error}"]
    least, most = _interactions(script, place)
    left_out = (*unsaid, *dict.fromkeys(_left_out(requests, script, place)))
    return Forecast(tuple(map(_shown, requests)), tokens, least, most, left_out)


def _requests(bodies: Bodies, begun: Sequence[Exchange], library: Library) -> Iterator[tuple[Request, dict[str, Any]]]:
    """Each request with its body. Raises RowError at the first that cannot be made."""
    exchanges = list(begun)
    while (ask := follow(exchanges, bodies.script)) is not None:
        if isinstance(ask, RunFunctions):
            exchanges[-1] = replace(exchanges[-1], results=tuple(map(_supposed_result, ask.calls)))
            continue
        request = without_files(bodies.job, next_request(bodies, exchanges, ask), library)
        body = request.document()
        yield request, body
        exchanges.append(_supposed(request, body, len(exchanges) + 1))


def _interactions(script: Script, place: Place) -> tuple[int, int]:
    """The least and the most interactions that a row takes from `place` on, if it does not fail."""
    if place.planning and script.approve == "hold":
        return 1, 1
    turns = script.turns - place.turn
    least = turns + place.planning
    return least, least + (turns * script.rounds - place.rounds if script.functions else 0)


def _supposed_result(call: FunctionCall) -> dict[str, Any]:
    return {"type": "function_result", "call_id": call.id, "name": call.name, "result": "<not known yet>"}


def _supposed(request: Request, body: dict[str, Any], number: int) -> Exchange:
    """An interaction that has gone well. Of what it read, only what was said goes on to the next one."""
    config = body.get("generation_config")
    limit = config.get("max_output_tokens") if isinstance(config, dict) else None
    tokens = min(ANSWER_TOKENS, limit) if type(limit) is int and limit > 0 else ANSWER_TOKENS
    text = f"<answer {number}, not known yet>".ljust(tokens * CHARACTERS_PER_TOKEN, _FILLER)
    said = request.tokens - reading_of({**body, "input": ""}).tokens
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


def _left_out(requests: Sequence[dict[str, Any]], script: Script, place: Place) -> Iterator[str]:
    if script.functions:
        rounds = counted(script.rounds, "round")
        yield f"calls of your functions: up to {rounds} a turn, each an interaction that reads all before it again"
    if place.planning and script.approve == "hold":
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
