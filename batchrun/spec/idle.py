"""Settings that do nothing in the job they stand in, found before anything is sent. Pure.

Nothing breaks because of them, so they are warnings. What rows bring in requests of their own is not looked at: where
the job names neither a model nor an agent, rows decide, and less can be said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from batchrun.spec.asking import RequestSpec, Turn
from batchrun.spec.model import JobSpec, LimitsSpec, OutputSpec, PollSpec, RetrySpec
from batchrun.spec.parts import MediaPart, TextPart
from batchrun.spec.reading.positions import KeyPath
from batchrun.spec.rendering.templates import columns_of
from batchrun.spec.service.shapes import Finding, Findings, advice
from batchrun.spec.service.targets import CITING, tool_type

_SINGLE_BRACES = re.compile(r"(?<!\{)\{([^\W\d]\w*)\}(?!\})")
_SHARED = ("system_instruction", "generation_config", "response_format", "tools")
#: Settings of `poll` that matter only for interactions in the background.
_OF_POLLS = ("first", "growth", "ceiling", "rpm")


def idle_settings(spec: JobSpec) -> list[Finding]:
    """What is to be said about settings without effect; key paths begin at the top of the job file."""
    request = spec.request
    found = [
        *_of_where(spec),
        *_of_posts(spec.limits),
        *_of_polls(spec),
        *_of_retries(spec.retry, request),
        *_of_output(spec.output, request),
    ]
    for each in (
        _of_approval,
        _of_functions,
        _of_shared_settings,
        _of_places,
        _of_hosts,
        _of_repeated_parts,
        _of_single_braces,
    ):
        found += [Finding(("request", *one.path), one.message, one.refused) for one in each(request)]
    return found


# -- input, poll, retry, output --------------------------------------------------------------------------------------


def _of_where(spec: JobSpec) -> Findings:
    if spec.input.where is not None and not columns_of("{{ (" + spec.input.where + ") }}"):
        yield advice(("input", "where"), "it reads no column, so it keeps all rows or none; a column has no quotes")


def _of_posts(limits: LimitsSpec) -> Findings:
    if limits.posts > limits.in_flight and "posts" in limits.model_fields_set:
        said = f"only {limits.in_flight} rows are under way at once, each with one POST: see `limits.in_flight`"
        yield advice(("limits", "posts"), said)


def _of_polls(spec: JobSpec) -> Findings:
    for name in () if spec.request.store else _OF_POLLS:
        if name in spec.poll.model_fields_set:
            yield advice(("poll", name), "this does nothing with `store: false`: no answer is polled; remove it")
    if spec.request.store:
        yield from _of_first_wait("poll", spec.poll)


def _of_first_wait(name: str, waits: PollSpec | RetrySpec) -> Findings:
    if waits.first > waits.ceiling and "first" in waits.model_fields_set:
        yield advice((name, "first"), f"`{name}.ceiling` is lower and bounds every wait; lower this, or raise that")


def _of_retries(retry: RetrySpec, request: RequestSpec) -> Findings:
    yield from _of_first_wait("retry", retry)
    rules, asked = retry.ambiguous, _asked(request)
    if asked is None:
        return
    ours, other = asked, "agent" if asked == "model" else "model"
    path: KeyPath = ("retry", "ambiguous")
    if other in rules.model_fields_set and ours not in rules.model_fields_set:
        yield advice((*path, other), f"this does nothing here: the job asks {_a(ours)}; write `{ours}` instead")
    if rules.max_resubmits is not None and getattr(rules, ours) == "hold":
        said = f"this does nothing with `{ours}: hold`: no POST is sent again; remove it, or write `{ours}: resubmit`"
        yield advice((*path, "max_resubmits"), said)


def _of_output(output: OutputSpec, request: RequestSpec) -> Findings:
    turns, asked = request.each_turn(), _asked(request)
    if output.thoughts and (where := _without_summaries(request)):
        yield advice(("output", "thoughts"), f"the column stays empty: add `{where}: {{thinking_summaries: auto}}`")
    citing = any(tool_type(tool) in CITING for turn in turns for tool in turn.tools or ())
    if output.citations and asked == "model" and not citing:
        yield advice(("output", "citations"), f"the file stays empty: no tool here cites; those are {_listed(CITING)}")


def _without_summaries(request: RequestSpec) -> str | None:
    """The section that lacks `thinking_summaries: auto`, if no answer can bring any."""
    if request.model is not None:
        configs = [turn.generation_config or {} for turn in request.each_turn()]
        return None if any(config.get("thinking_summaries") == "auto" for config in configs) else "generation_config"
    if request.agent is not None and request.agent.startswith("deep-research"):
        config = request.agent_config or {}
        return None if config.get("thinking_summaries") == "auto" else "agent_config"
    return None


# -- request ---------------------------------------------------------------------------------------------------------


def _of_approval(request: RequestSpec) -> Findings:
    if "approve" not in request.model_fields_set:
        return
    if request.model is not None:
        yield advice(
            ("approve",), "this does nothing here: only research agents send plans, and models none; remove it"
        )
    elif request.agent is not None and (request.agent_config or {}).get("collaborative_planning") is not True:
        said = "this does nothing here: no plan is asked for; add `collaborative_planning: true` to `agent_config`"
        yield advice(("approve",), f"{said}, or remove it")


def _of_functions(request: RequestSpec) -> Findings:
    if "function_calling" in request.model_fields_set and not request.references:
        yield advice(("function_calling",), "this does nothing without `functions`; name yours there, or remove it")


def _of_shared_settings(request: RequestSpec) -> Findings:
    """What every turn replaces by its own."""
    turns = request.turns or []
    for name in _SHARED:
        own = [isinstance(turn, Turn) and getattr(turn, name) is not None for turn in turns]
        if own and all(own) and getattr(request, name) is not None:
            yield advice((name,), "this does nothing here: every turn has its own; remove it, or theirs")


def _of_places(request: RequestSpec) -> Findings:
    """Settings about media in a job that has none of that kind."""
    media = [part for _, part in _parts(request) if isinstance(part, MediaPart)]
    files, addresses = any(part.path is not None for part in media), any(part.uri is not None for part in media)
    if "media_root" in request.model_fields_set and not files:
        yield advice(("media_root",), "this does nothing here: no part has a `path`; remove it")
    if request.fetch and not addresses:
        yield advice(("fetch",), "this does nothing here: no part has a `uri`; remove it")
    if "inline_limit" in request.model_fields_set and not files and not (addresses and request.fetch):
        yield advice(("inline_limit",), "this does nothing here: batchrun reads no file for this job; remove it")


def _of_hosts(request: RequestSpec) -> Findings:
    """Hosts that no address has, where all addresses tell theirs."""
    addresses = [part.uri for _, part in _parts(request) if isinstance(part, MediaPart) and part.uri is not None]
    hosts = [_host(address) for address in addresses]
    for index, name in enumerate(request.fetch):
        if hosts and None not in hosts and name.lower() not in hosts:
            found = ", ".join(sorted({host for host in hosts if host}))
            yield advice(("fetch", index), f"no part has an address at this host; there is {found}")


def _host(template: str) -> str | None:
    """The host of an address; None where a row decides, or where there is none."""
    before = template.partition("{")[0]
    if "{" in template and before.count("/") < 3:
        return None
    try:
        return urlsplit(before).hostname
    except ValueError:
        return None


def _of_repeated_parts(request: RequestSpec) -> Findings:
    for path, part in _parts(request):
        sources = [source for place, source in _texts(request) if place[:-1] == path]
        if part.each is not None and not any("item" in columns_of(source) for source in sources):
            yield advice((*path, "each"), "every item makes the same part: no template of it reads `item`")


def _of_single_braces(request: RequestSpec) -> Findings:
    """`{name}` where no template of the job reads a column: most likely a template of another kind."""
    texts = [*_texts(request)]
    if any(columns_of(text) for _, text in texts):
        return
    for path, text in texts:
        if match := _SINGLE_BRACES.search(text):
            yield advice(path, f"{match[0]} is sent as it stands; to put in a row's column, write {{{{ {match[1]} }}}}")


def _texts(request: RequestSpec) -> Iterator[tuple[KeyPath, str]]:
    """The templates of every prompt, with their places in the request."""
    for number, turn in enumerate(request.each_turn()):
        if isinstance(turn.input, str):
            yield ("turns", number) if request.turns else ("input",), turn.input
    for path, part in _parts(request):
        for name in ("text", "path", "uri", "pages"):
            if (source := getattr(part, name, None)) is not None:
                yield (*path, name), source


def _parts(request: RequestSpec) -> Iterator[tuple[KeyPath, TextPart | MediaPart]]:
    """The parts of every prompt, with their places in the request."""
    for number, turn in enumerate(request.each_turn()):
        written = request.turns[number] if request.turns else None
        path: KeyPath = ("input",) if written is None else ("turns", number)
        path = (*path, "input") if isinstance(written, Turn) else path
        for index, part in enumerate(turn.input if isinstance(turn.input, list) else ()):
            yield (*path, index), part


def _asked(request: RequestSpec) -> str | None:
    """`model` or `agent`; None where each row says whom it asks."""
    return "model" if request.model is not None else "agent" if request.agent is not None else None


def _a(noun: str) -> str:
    return f"an {noun}" if noun == "agent" else f"a {noun}"


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
