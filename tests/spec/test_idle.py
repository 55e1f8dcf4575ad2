"""A setting that does nothing in its job is a warning that says why, and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batchrun.spec.load import load_job

RESEARCH = {"model": None, "agent": "deep-research-preview-04-2026"}
PLANS = {"agent_config": {"type": "deep-research", "collaborative_planning": True}}
FUNCTION = {"type": "function", "name": "find", "parameters": {"type": "object", "properties": {}}}
PICTURE = {"type": "image", "path": "{{ file }}"}
ADDRESS = {"type": "image", "uri": "https://example.com/{{ file }}", "mime_type": "image/png"}
SUMMARIES = {"thinking_summaries": "auto"}

Sections = dict[str, Any]


def asks(**changes: Any) -> Sections:
    """A job's `request` section with these changes; what is None is left out."""
    whole = {"model": "gemini-3.5-flash", "input": "Hello", **changes}
    return {"request": {name: value for name, value in whole.items() if value is not None}}


def config(**fields: Any) -> dict[str, Any]:
    return {"generation_config": fields}


def turns(*listed: Any) -> dict[str, Any]:
    return {"input": None, "turns": list(listed)}


def warnings(where: Path, sections: Sections) -> list[str]:
    (where / "mine.py").write_text("def look(place: str) -> str:\n    return place\n")
    job = {"name": "a", "input": {"path": "rows.jsonl"}, **asks(), **sections}
    (where / "job.json").write_text(json.dumps(job, indent=1))
    return [line.partition(": ")[2] for line in load_job(where / "job.json").warnings]


def own(text: Any, **fields: Any) -> dict[str, Any]:
    return {"input": text, **fields}


IDLE: list[tuple[Sections, str, str]] = [
    # plans and functions
    (asks(approve="hold"), "request.approve", "models none; remove it"),
    (asks(approve="auto"), "request.approve", "does nothing here"),
    (asks(**RESEARCH, approve="hold"), "request.approve", "add `collaborative_planning: true`"),
    (asks(function_calling={"rounds": 3}), "request.function_calling", "does nothing without `functions`"),
    (asks(tools=[FUNCTION]), "request.tools[0]", "no function of yours answers its calls"),
    (asks(**config(tool_choice="any")), "request.generation_config.tool_choice", "there is no tool to choose"),
    (
        asks(**config(tool_choice="none"), functions="mine"),
        "request.generation_config.tool_choice",
        "the model calls no tool",
    ),
    (
        asks(**config(tool_choice={"allowed_tools": {"tools": ["look", "lok"]}}), functions="mine"),
        "request.generation_config.tool_choice.allowed_tools.tools[1]",
        "did you mean look?",
    ),
    (
        asks(**config(tool_choice={"allowed_tools": {"tools": ["zzz"]}}), functions="mine", tools=["url_context"]),
        "request.generation_config.tool_choice.allowed_tools.tools[0]",
        "there are: look, url_context",
    ),
    # media
    (asks(media_root="scans"), "request.media_root", "no part has a `path`"),
    (asks(media_root="scans", input=[ADDRESS]), "request.media_root", "no part has a `path`"),
    (asks(fetch=["example.com"]), "request.fetch", "no part has a `uri`"),
    (asks(fetch=["example.com"], input=[PICTURE]), "request.fetch", "no part has a `uri`"),
    (asks(fetch=["exmaple.com"], input=[ADDRESS]), "request.fetch[0]", "there is example.com"),
    (asks(inline_limit=5), "request.inline_limit", "batchrun reads no file"),
    (asks(inline_limit="5MB", input=[ADDRESS]), "request.inline_limit", "batchrun reads no file"),
    (asks(input=[{**PICTURE, "each": "files"}]), "request.input[0].each", "no template of it reads `item`"),
    (
        asks(**turns("One", [{"type": "text", "text": "Two", "each": "files"}])),
        "request.turns[1][0].each",
        "every item makes the same part",
    ),
    (
        asks(**turns("One", own([PICTURE, {**PICTURE, "each": "files"}]))),
        "request.turns[1].input[1].each",
        "every item makes the same part",
    ),
    (asks(input="Hello {name}, {{ 'x' }}"), "request.input", "write {{ name }}"),
    (asks(**turns("One", [{"type": "text", "text": "On {day}"}])), "request.turns[1][0].text", "write {{ day }}"),
    # answers of another kind than the model's
    (asks(response_format={"type": "image"}), "request.response_format.type", "not pictures; name a model such as gem"),
    (asks(response_format={"type": "audio"}), "request.response_format.type", "known to write text, not sound"),
    (
        asks(response_format={"type": "video"}),
        "request.response_format.type",
        "not films; name a model such as gemini-",
    ),
    (
        asks(model="gemini-3.8-flash-tts", response_format=[{"type": "audio"}, {"type": "image"}]),
        "request.response_format[1].type",
        "known to write sound, not pictures",
    ),
    (
        asks(model="gemini-3.9-flash-tts", response_format={"schema": {"type": "object"}}),
        "request.response_format",
        "known to write sound, and text alone is asked for; name a model such as gemini-3.5-flash",
    ),
    (
        asks(model="models/gemini-3.1-flash-image", response_format={"type": "text"}),
        "request.response_format",
        "known to write pictures",
    ),
    (
        asks(**config(speech_config={"speakers": [{"voice": "Kore"}]})),
        "request.generation_config.speech_config",
        "name a model such as gemini-3.8-flash-tts, or remove it",
    ),
    (
        asks(**config(video_config={"task": "edit"})),
        "request.generation_config.video_config",
        "gemini-omni-1.2-flash, or remove it",
    ),
    (
        asks(**config(transcription_config={"mode": "smart"})),
        "request.generation_config.transcription_config",
        "for models such as gemini-3.5-transcribe",
    ),
    # what every turn replaces
    (
        asks(system_instruction="A", **turns(own("One", system_instruction="B"), own("Two", system_instruction="C"))),
        "request.system_instruction",
        "every turn has its own",
    ),
    (asks(tools=["url_context"], **turns(own("One", tools=[]))), "request.tools", "every turn has its own"),
    # other sections
    ({"input": {"path": "x", "where": "'country' == 'DE'"}}, "input.where", "keeps all rows or none"),
    ({**asks(store=False), "poll": {"ceiling": 60}}, "poll.ceiling", "no answer is polled"),
    ({"poll": {"first": "2m"}}, "poll.first", "`poll.ceiling` is lower"),
    ({"limits": {"in_flight": 4, "posts": 8}}, "limits.posts", "only 4 rows are under way at once"),
    ({"retry": {"first": "2m"}}, "retry.first", "`retry.ceiling` is lower"),
    ({"retry": {"ambiguous": {"agent": "hold"}}}, "retry.ambiguous.agent", "the job asks a model; write `model`"),
    (
        {**asks(**RESEARCH), "retry": {"ambiguous": {"model": "hold"}}},
        "retry.ambiguous.model",
        "the job asks an agent; write `agent`",
    ),
    (
        {"retry": {"ambiguous": {"model": "hold", "max_resubmits": 3}}},
        "retry.ambiguous.max_resubmits",
        "write `model: resubmit`",
    ),
    (
        {**asks(**RESEARCH), "retry": {"ambiguous": {"max_resubmits": 3}}},
        "retry.ambiguous.max_resubmits",
        "nothing with `agent: hold`",
    ),
    ({"output": {"thoughts": True}}, "output.thoughts", "add `generation_config: {thinking_summaries: auto}`"),
    ({**asks(**RESEARCH), "output": {"thoughts": True}}, "output.thoughts", "add `agent_config: {thinking_summaries"),
    ({"output": {"citations": True}}, "output.citations", "no tool here cites; those are file_search, google_maps"),
]


@pytest.mark.parametrize(("sections", "key", "reason"), IDLE)
def test_a_setting_that_does_nothing_is_one_warning(tmp_path: Path, sections: Sections, key: str, reason: str) -> None:
    [line] = warnings(tmp_path, sections)
    assert line.startswith(f"{key}: ")
    assert reason in line


AT_WORK: list[Sections] = [
    asks(**RESEARCH, **PLANS, approve="hold"),
    asks(model=None, approve="hold"),
    asks(functions="mine", function_calling={"rounds": 3}),
    asks(functions="mine", **config(tool_choice={"allowed_tools": {"mode": "any", "tools": ["look"]}})),
    asks(tools=["url_context"], **config(tool_choice="auto")),
    asks(
        model="gemini-2.5-pro",
        tools=[{"type": "mcp_server", "name": "a", "url": "https://a.io"}],
        **config(tool_choice={"allowed_tools": {"tools": ["theirs"]}}),
    ),
    asks(media_root="scans", inline_limit="5MB", input=[PICTURE]),
    asks(media_root="scans", **turns("One", [PICTURE])),
    asks(fetch=["Example.com"], inline_limit="5MB", input=[ADDRESS]),
    asks(fetch=["example.org"], input=[{**ADDRESS, "uri": "{{ url }}"}]),
    asks(fetch=["example.org"], input=[{**ADDRESS, "uri": "https://{{ host }}/a"}]),
    asks(input=[{"type": "document", "each": "files", "path": "{{ item.file }}", "pages": "{{ item.pages }}"}]),
    asks(input=[{"type": "document", "each": "pages", "path": "a.pdf", "pages": "{{ item }}"}]),
    asks(model="gemini-3.1-flash-image", response_format=[{"type": "text"}, {"type": "image"}]),
    asks(model="gemini-omni-1.2-flash", response_format={"type": "image"}),
    asks(model="gemini-9-surprise", response_format={"type": "audio"}, **config(speech_config={"speakers": []})),
    asks(model=None, response_format={"type": "audio"}),
    asks(model="gemini-3.5-transcribe", **config(transcription_config={"mode": "smart"})),
    asks(system_instruction="A", **turns("One", own("Two", system_instruction="B"))),
    asks(input="Hello {name}, you are {{ age }}."),
    asks(input='Answer like {"name": 1} or {} or {a b}.'),
    {"input": {"path": "x", "where": "row['country of birth'] == 'DE'"}},
    {"limits": {"in_flight": 4}},
    {"poll": {"first": "2m", "ceiling": "3m"}},
    {**asks(store=False), "poll": {"deadline": "5m"}},
    {"retry": {"ambiguous": {"model": "hold", "agent": "hold"}}},
    {"retry": {"ambiguous": {"model": "resubmit", "max_resubmits": 0}}},
    {**asks(model=None), "retry": {"ambiguous": {"agent": "hold", "max_resubmits": 1}}},
    {**asks(**config(**SUMMARIES)), "output": {"thoughts": True}},
    {**asks(**turns("One", own("Two", **config(**SUMMARIES)))), "output": {"thoughts": True}},
    {**asks(model=None, agent="my-agent"), "output": {"thoughts": True, "citations": True}},
    {**asks(tools=["google_search"]), "output": {"citations": True}},
    {"output": {"citations": False}},
]


@pytest.mark.parametrize("sections", AT_WORK)
def test_nothing_is_said_of_a_setting_that_does_something(tmp_path: Path, sections: Sections) -> None:
    assert warnings(tmp_path, sections) == []


def test_a_declared_function_that_nobody_answers_is_told_of_beside_what_its_schema_lacks(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 3}}}
    ignored, unanswered = warnings(tmp_path, asks(tools=[{**FUNCTION, "parameters": schema}]))
    assert ignored.startswith("request.tools[0].parameters: the service ignores maxLength (a)")
    assert unanswered.startswith("request.tools[0]: no function of yours")
