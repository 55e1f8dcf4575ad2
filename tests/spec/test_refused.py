"""What the service refuses or ignores is said of a job before it is sent, and the emulator agrees with every error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrun.emulator.resources.models import MODELS as EMULATED
from batchrun.errors import SpecError
from batchrun.spec.asking import RequestSpec
from batchrun.spec.judging.schemas import OutputSchema
from batchrun.spec.load import load_job
from batchrun.spec.requests import RequestTemplate
from batchrun.spec.service.accepted import GENERATION
from batchrun.spec.service.kinds import MODELS
from batchrun.spec.service.refused import findings
from batchrun.spec.service.shapes import Finding
from tests.emulator.in_process import post

JOBS = sorted((Path(__file__).parents[2] / "jobs").glob("*.yaml"))
FUNCTION = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
SCHEMA = {"schema": {"type": "object"}}
RESEARCH = {"model": None, "agent": "deep-research-preview-04-2026"}
SANDBOX = {"model": None, "agent": "antigravity-preview-09-2026", "environment": "remote"}
IMAGES, SPEECH, FILMS = (
    {"model": name} for name in ("gemini-3.1-flash-image", "gemini-3.8-flash-tts", "gemini-omni-1.2-flash")
)
NESTED = {"type": "array", "maxItems": 2000, "items": {"type": "array", "maxItems": 2000, "items": {"type": "string"}}}


def config(**fields: Any) -> dict[str, Any]:
    return {"generation_config": fields}


def answer(**fields: Any) -> dict[str, Any]:
    return {"response_format": fields}


def tools(*listed: Any) -> dict[str, Any]:
    return {"tools": list(listed)}


def parts(*listed: dict[str, Any]) -> dict[str, Any]:
    return {"input": list(listed)}


def media(kind: str, mime_type: str | None, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "uri": "https://example.com/it", "mime_type": mime_type, **fields}


#: An address that batchrun might have to fetch, as far as the job tells.
FETCHED = {"fetch": ["example.org"], **parts(media("image", "image/png", uri="{{ 'https://example.com/it' }}"))}


def turns(*listed: Any) -> dict[str, Any]:
    return {"input": None, "turns": list(listed)}


def request(changes: dict[str, Any]) -> dict[str, Any]:
    """The `request` section with these changes; what is None is left out."""
    whole = {"model": "gemini-3.5-flash", "input": "Hello", **changes}
    return {name: value for name, value in whole.items() if value is not None}


def loaded(where: Path, changes: dict[str, Any]) -> tuple[str, ...]:
    """The warnings about a job with this request. Raises SpecError."""
    path = where / "job.json"
    (where / "mine.py").write_text("def look(place: str) -> str:\n    return place\n")
    path.write_text(json.dumps({"name": "a", "input": {"path": "rows.jsonl"}, "request": request(changes)}, indent=1))
    return tuple(line.replace(f"{path}:", "") for line in load_job(path).warnings)


def statuses(changes: dict[str, Any]) -> list[int]:
    """What the emulator answers if the job's turns are sent although something may be wrong with them."""
    spec = RequestSpec.model_validate(request(changes))
    template = RequestTemplate(spec, schemas_of(spec), [FUNCTION] if spec.functions else [])
    bodies = [template.render({}, turn, ["before"] * turn).body for turn in range(len(template.turns))]
    sent = {"background": spec.store, "store": spec.store}
    return [post(**{"model": None, **body, **sent}).status_code for body in bodies]


def schemas_of(spec: RequestSpec) -> list[OutputSchema | None]:
    inline = [turn.text_format.json_schema if turn.text_format else None for turn in spec.each_turn()]
    return [OutputSchema(schema) if isinstance(schema, dict) else None for schema in inline]


# -- refused ---------------------------------------------------------------------------------------------------------

REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"model": "gemini-3.6-flash", **config(temperature=0)}, "generation_config.temperature", "refuses this"),
    ({"model": "models/gemini-4-argon", **config(temperature=1)}, "generation_config.temperature", "refuses this"),
    (config(temperature="low"), "generation_config.temperature", "takes a number here, not 'low'"),
    (config(top_k=40), "generation_config.top_k", "not part of this API; remove it"),
    (config(candidate_count=2), "generation_config.candidate_count", "not part of this API"),
    (config(presence_penalty=1), "generation_config.presence_penalty", "not part of this API"),
    (config(frequency_penalty=1), "generation_config.frequency_penalty", "not part of this API"),
    (config(response_logprobs=True), "generation_config.response_logprobs", "not part of this API"),
    (config(response_schema={}), "generation_config.response_schema", "use `response_format`"),
    (config(thinking_budget=0), "generation_config.thinking_budget", "write `thinking_level`"),
    (config(maxOutputTokens=9), "generation_config.maxOutputTokens", "did you mean `max_output_tokens`?"),
    (config(max_output_tokens=0), "generation_config.max_output_tokens", "a whole number from 1 here, not 0"),
    (config(max_output_tokens=True), "generation_config.max_output_tokens", "not true"),
    (config(thinking_level="much"), "generation_config.thinking_level", "minimal, low, medium, high, xhigh here"),
    (config(thinking_summaries="all"), "generation_config.thinking_summaries", "auto, none"),
    (config(stop_sequences="END"), "generation_config.stop_sequences", "a list here, not 'END'"),
    (config(stop_sequences=["END", 7]), "generation_config.stop_sequences[1]", "text here, not 7"),
    (config(seed=1.5), "generation_config.seed", "a whole number"),
    (config(tool_choice="maybe"), "generation_config.tool_choice", "auto, any, none, validated"),
    (config(tool_choice={"allowed": []}), "generation_config.tool_choice.allowed", "`allowed_tools`"),
    (config(tool_choice=1), "generation_config.tool_choice", "text or a mapping here, not 1"),
    (config(speech_config={"voice": "Kore"}), "generation_config.speech_config.voice", "known here: speakers"),
    (config(video_config={"task": "film"}), "generation_config.video_config.task", "text_to_video"),
    (config(transcription_config="smart"), "generation_config.transcription_config", "a mapping"),
    ({"agent_config": {"type": "dynamic"}}, "agent_config", "only agents take this"),
    (answer(type="image", mime_type="image/png"), "response_format.mime_type", "takes image/jpeg here"),
    (answer(type="image", aspect_ratio="2:1"), "response_format.aspect_ratio", "16:9"),
    (answer(type="image", image_size="8K"), "response_format.image_size", "512, 1K, 2K, 4K"),
    (answer(type="audio", mime_type="audio/flac"), "response_format.mime_type", "audio/ogg_opus"),
    (answer(type="video", aspect_ratio="1:1"), "response_format.aspect_ratio", "16:9, 9:16"),
    (answer(type="video", resolution="8k"), "response_format.resolution", "360p, 720p, 1080p, 4k"),
    (answer(type="video", duration="8 seconds"), "response_format.duration", "such as 8s"),
    ({"store": False, **answer(type="video", delivery="uri")}, "response_format.delivery", "only with storage"),
    (
        {"response_format": [{"type": "text"}, {"type": "image", "image_size": "8K"}]},
        "response_format[1].image_size",
        "512",
    ),
    (tools("google_serach"), "tools[0]", "did you mean google_search?"),
    (tools({"type": "hammer"}), "tools[0].type", "knows the types function, google_search"),
    (tools({"name": "look"}), "tools[0].type", "not nothing"),
    (tools("url_context", {"type": "google_search", "search_types": ["video"]}), "tools[1].search_types[0]", "web_"),
    (tools({"type": "google_search", "dynamic": 1}), "tools[0].dynamic", "no such setting"),
    (tools("file_search"), "tools[0]", "needs `file_search_store_names`"),
    (tools({"type": "file_search"}), "tools[0]", "needs `file_search_store_names`"),
    ({"model": "gemini-2.5-pro", **tools({"type": "mcp_server", "name": "a"})}, "tools[0]", "needs `url`"),
    (tools({"type": "computer_use", "environment": "car"}), "tools[0].environment", "browser, mobile, desktop"),
    (tools({"type": "function"}), "tools[0]", "needs `name`"),
    (tools({**FUNCTION, "parameters": {"type": "object", "required": []}}), "tools[0].parameters.required", "leave it"),
    ({**RESEARCH, **tools(FUNCTION)}, "tools[0]", "refuse functions"),
    ({**RESEARCH, "functions": "mine:look"}, "functions", "refuse functions"),
    ({**RESEARCH, "system_instruction": "Be brief."}, "system_instruction", "say it in `input`"),
    ({**RESEARCH, "response_format": SCHEMA}, "response_format", "refuse structured output"),
    ({**RESEARCH, **answer(mime_type="application/json")}, "response_format", "refuse structured output"),
    ({**RESEARCH, "store": False}, "store", "only with storage"),
    ({**RESEARCH, "agent_config": {"type": "deep-research", "depth": 3}}, "agent_config.depth", "no such setting"),
    ({**RESEARCH, "agent_config": {"visualization": "auto"}}, "agent_config.type", "deep-research, antigravity"),
    (
        {**RESEARCH, "agent_config": {"type": "deep-research", "visualization": "on"}},
        "agent_config.visualization",
        "auto, off",
    ),
    ({**SANDBOX, "environment": None}, "agent", "add `environment: remote`"),
    ({**SANDBOX, "environment": "my sandbox"}, "environment", "`remote`"),
    ({**SANDBOX, "environment": {"type": "local"}}, "environment.type", "takes remote here"),
    ({**SANDBOX, "store": False}, "store", "only with storage"),
    ({**SANDBOX, **tools("google_maps")}, "tools[0]", "refuse computer_use, file_search, google_maps"),
    ({**SANDBOX, **tools("computer_use")}, "tools[0]", "refuse computer_use"),
    ({**SANDBOX, "response_format": SCHEMA}, "response_format", "refuse structured output"),
    (
        {**SANDBOX, "agent_config": {"type": "antigravity", "max_total_tokens": "many"}},
        "agent_config.max_total_tokens",
        "a whole number here, not 'many'",
    ),
    ({**SANDBOX, "agent_config": {"type": "antigravity", "temperature": 1}}, "agent_config.temperature", "no such"),
    ({"store": False, "service_tier": "deferred"}, "service_tier", "only with storage"),
    ({"store": False, "webhook_config": {"uris": ["https://example.com"]}}, "webhook_config", "only with storage"),
    ({"webhook_config": {"uris": ["example.com"]}}, "webhook_config.uris[0]", "begins with https://"),
    ({"webhook_config": {"url": "https://example.com"}}, "webhook_config.url", "known here: uris, user_metadata"),
    ({"labels": {"Team": "a"}}, "labels.Team", "refuses this label"),
    ({"labels": {"team": "a b"}}, "labels.team", "refuses this label"),
    ({"labels": {"1st": "a"}}, "labels.1st", "a key begins with a letter"),
    ({"labels": {"team": "a" * 64}}, "labels.team", "at most 63 characters"),
    ({"safety_settings": [{"type": "rudeness", "threshold": "off"}]}, "safety_settings[0].type", "hate_speech"),
    ({"safety_settings": [{"type": "harassment"}]}, "safety_settings[0]", "needs `threshold`"),
    (parts(media("image", "image/png", processing="static")), "input[0].processing", "images have no"),
    (parts(media("audio", "audio/mp3", processing="agentic")), "input[0].processing", "takes static here"),
    (parts(media("audio", "audio/mp3", resolution="low")), "input[0].resolution", "sound has no"),
    (
        parts(media("video", "video/mp4", processing={"start_offset": "0:10"})),
        "input[0].processing.start_offset",
        "such as 10.5s",
    ),
    (
        parts(media("document", "application/pdf", processing={"page_options": {"start_page": 0}})),
        "input[0].processing.page_options.start_page",
        "a whole number from 1",
    ),
    (
        {"model": "gemini-3.6-flash", **turns("One", {"input": "Two", **config(temperature=0)})},
        "turns[1].generation_config.temperature",
        "refuses this",
    ),
    ({**RESEARCH, **turns("One", {"input": "Two", **config(seed=1)})}, "turns[1].generation_config", "`agent_config`"),
    (turns("One", {"input": "Two", **tools("hammer")}), "turns[1].tools[0]", "knows the types"),
    (turns("One", [media("image", "image/png", processing="static")]), "turns[1][0].processing", "images have no"),
    (
        turns("One", {"input": [media("image", "image/png", processing="static")]}),
        "turns[1].input[0].processing",
        "images have no",
    ),
]


@pytest.mark.parametrize(("changes", "key", "reason"), REFUSED)
def test_a_setting_that_the_service_refuses_is_an_error(
    tmp_path: Path, changes: dict[str, Any], key: str, reason: str
) -> None:
    with pytest.raises(SpecError) as caught:
        loaded(tmp_path, changes)
    lines = str(caught.value).splitlines()
    assert any(f": request.{key}: " in line and reason in line for line in lines), lines


@pytest.mark.parametrize(("changes", "key", "reason"), REFUSED)
def test_the_emulator_refuses_it_as_well(changes: dict[str, Any], key: str, reason: str) -> None:
    assert 400 in statuses(changes)


# -- warned of -------------------------------------------------------------------------------------------------------

IGNORED: list[tuple[dict[str, Any], str, str]] = [
    (config(temperature=0.5), "generation_config.temperature", "deprecated"),
    (config(top_p=0.5), "generation_config.top_p", "deprecated"),
    ({"model": "gemini-3.6-flash", **config(top_p=0.5)}, "generation_config.top_p", "may refuse it"),
    ({"model": "gemini-flash-latest", **config(temperature=0)}, "generation_config.temperature", "deprecated"),
    (
        config(image_config={"image_size": "1K"}),
        "generation_config.image_config",
        "deprecated: write `response_format` with `type: image`",
    ),
    ({**SPEECH, **config(speech_config=[{"voice": "Kore"}])}, "generation_config.speech_config", "the older form"),
    (
        {"model": "gemini-3.5-transcribe", **config(transcription_config={"diarization_mode": "speaker"})},
        "generation_config.transcription_config.diarization_mode",
        "deprecated",
    ),
    (
        answer(schema={"type": "object", "properties": {"a": {"type": "string", "minLength": 3}}}),
        "response_format.schema",
        "ignores minLength (a); only batchrun's check",
    ),
    (
        {"response_format": [{"schema": {"type": "array", "items": {"type": "string"}, "uniqueItems": True}}]},
        "response_format[0].schema",
        "ignores uniqueItems;",
    ),
    ({**tools("google_search"), "response_format": SCHEMA}, "response_format.schema", "leave arrays empty"),
    (tools("retrieval"), "tools[0]", "only the Enterprise service"),
    (
        tools({"type": "google_search", "search_types": ["enterprise_web_search"]}),
        "tools[0].search_types",
        "only the Enterprise service",
    ),
    ({**FILMS, **answer(type="video", gcs_uri="gs://a/b")}, "response_format.gcs_uri", "only the Enterprise service"),
    ({"service_tier": "deferred"}, "service_tier", "a preview"),
    ({"inline_limit": 80_000_000, **FETCHED}, "inline_limit", "100 MB a request"),
    ({"labels": {"batchrun-intent": "mine"}}, "labels.batchrun-intent", "yours is replaced"),
    ({"safety_settings": [{"type": "harassment", "threshold": "off"}]}, "safety_settings", "not supported yet"),
    (
        {**SANDBOX, "agent": "antigravity-preview-05-2026"},
        "agent",
        "retired on 2026-10-05; write antigravity-preview-0",
    ),
    ({"model": "gemini-3.5-flsh"}, "model", "did you mean gemini-3.5-flash?"),
    ({"model": "gemni-2.5-pro"}, "model", "did you mean gemini-2.5-pro?"),
    ({"model": "deep-research-preview-04-2026"}, "model", "write `agent: deep-research-preview-04-2026`"),
]
DOUBTFUL: list[tuple[dict[str, Any], str, str]] = [
    (tools({"type": "mcp_server", "name": "a", "url": "https://a.io"}), "tools[0]", "did not take remote MCP"),
    (answer(schema=NESTED), "response_format.schema", "up to 4,000,000 items: the service may find this too complex"),
    ({**SPEECH, **answer(type="audio", bit_rate=64000)}, "response_format.bit_rate", "write one as `mime_type`"),
    (
        {**SPEECH, **answer(type="audio", mime_type="audio/wav", bit_rate=64000)},
        "response_format.bit_rate",
        "only audio/mp3 and",
    ),
    (parts(media("document", "text/plain")), "input[0].mime_type", "give it as a part of `type: text`"),
    (parts(media("image", "image/svg+xml")), "input[0].mime_type", "not among the documented types of image parts"),
    (parts(media("image", None)), "input[0]", "without `mime_type`; add it"),
    ({**SANDBOX, "agent_config": {"type": "deep-research"}}, "agent_config.type", "this agent is of the type antigr"),
    ({**SANDBOX, "environment": "env_0a1b"}, "environment", "no `env_` in front"),
    ({"model": None, "agent": "gemini-3.5-flash"}, "agent", "a model; write `model: gemini-3.5-flash`"),
    ({"model": None, "agent": "deep-reserch-preview-04-2026"}, "agent", "did you mean deep-research-preview-04-2026?"),
    ({**SANDBOX, **parts(media("audio", "audio/mp3"))}, "input[0].type", "text and images only"),
]


@pytest.mark.parametrize(("changes", "key", "reason"), [*IGNORED, *DOUBTFUL])
def test_what_works_otherwise_than_one_may_think_is_one_warning(
    tmp_path: Path, changes: dict[str, Any], key: str, reason: str
) -> None:
    [line] = loaded(tmp_path, changes)
    assert f": request.{key}: " in line
    assert reason in line


@pytest.mark.parametrize(("changes", "key", "reason"), IGNORED)
def test_the_emulator_takes_what_is_only_ignored(changes: dict[str, Any], key: str, reason: str) -> None:
    assert statuses(changes) == [200]


# -- neither ---------------------------------------------------------------------------------------------------------

FINE: list[dict[str, Any]] = [
    {},
    {"model": "gemini-3.1-flash-image", **parts({"type": "text", "text": "Draw a skyline."})},
    {"store": False, **turns("I have 2 dogs.", "How many paws are in my house?")},
    turns("One", {"input": "Two", "response_format": SCHEMA}, [{"type": "text", "text": "Three"}]),
    parts({"type": "text", "text": "Compare."}, media("image", "image/jpeg"), media("audio", "audio/mp3")),
    parts(media("video", None, uri="https://www.youtube.com/watch?v=1")),
    parts(media("video", "video/mp4", processing={"type": "static", "fps": 1, "end_offset": "10.5s"})),
    parts(media("document", "application/pdf", resolution="high", processing="static")),
    {"response_format": SCHEMA},
    {**IMAGES, **answer(type="image", mime_type="image/jpeg", aspect_ratio="16:9", image_size="2K")},
    {**SPEECH, **answer(type="audio", mime_type="audio/mp3", bit_rate=64000)},
    {**FILMS, **answer(type="video", resolution="1080p", duration="8s", delivery="uri")},
    tools("google_search", "url_context", "code_execution"),
    {"store": False, "functions": "mine:look"},
    {**tools({"type": "computer_use", "environment": "browser"}), "functions": "mine:look"},
    tools({"type": "file_search", "file_search_store_names": ["fileSearchStores/papers"], "top_k": 3}),
    config(thinking_level="xhigh", max_output_tokens=100, seed=7, stop_sequences=["END"], thinking_summaries="auto"),
    {**config(tool_choice={"allowed_tools": {"mode": "any", "tools": ["look"]}}), "functions": "mine:look"},
    {**SPEECH, **config(speech_config={"speakers": [{"speaker": "A", "voice": "Kore", "language": "en-US"}]})},
    {"generation_config": {"seed": None}},
    RESEARCH,
    {**RESEARCH, **tools("google_search"), "response_format": {"type": "text"}},
    {**RESEARCH, "agent_config": {"type": "deep-research", "collaborative_planning": True, "visualization": "off"}},
    SANDBOX,
    {**SANDBOX, "functions": "mine:look", "system_instruction": "Be brief."},
    {**SANDBOX, "agent_config": {"type": "antigravity", "max_total_tokens": "100000"}},
    {**SANDBOX, "agent_config": {"type": "antigravity", "max_total_tokens": 100000}},
    {**SANDBOX, "environment": {"type": "remote", "network": "disabled"}},
    {"service_tier": "flex"},
    {"webhook_config": {"uris": ["https://example.com/hook"], "user_metadata": {"a": 1}}},
    {"labels": {"team": "", "größe": "mäßig-1_2"}},
    *({"model": name} for name in sorted(EMULATED)),
    {"model": "gemini-9.1-flash"},
    {"model": "gemini-5-pro"},
    {"model": "tunedModels/mine"},
]


@pytest.mark.parametrize("changes", FINE)
def test_nothing_is_said_of_what_the_service_takes(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert loaded(tmp_path, changes) == ()
    assert set(statuses(changes)) == {200}


def test_a_custom_agent_may_have_any_name_and_config(tmp_path: Path) -> None:
    config = {"type": "dynamic", "anything": {"at": "all"}}
    assert loaded(tmp_path, {"model": None, "agent": "invoice-reader", "agent_config": config}) == ()


def test_rows_that_name_their_own_model_leave_only_the_settings_to_be_checked(tmp_path: Path) -> None:
    assert loaded(tmp_path, {"model": None, **config(temperature=0)}) == ()
    with pytest.raises(SpecError, match="top_k"):
        loaded(tmp_path, {"model": None, **config(top_k=1)})


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_nothing_is_said_of_the_jobs_that_come_along(path: Path) -> None:
    assert load_job(path).warnings == ()


def test_the_models_known_here_are_those_of_the_emulator_and_the_robots() -> None:
    assert {name for name in MODELS if "robotics" not in name} == set(EMULATED)


# -- where -----------------------------------------------------------------------------------------------------------

LINES = """\
name: demo
input: {path: rows.jsonl}
request:
  model: gemini-3.6-flash
  generation_config:
    temperature: 0
    top_p: 0.9
  response_format:
    schema:
      type: object
      properties:
        code: {type: string, maxLength: 3}
        contains: {type: string}
  turns:
    - First.
    - input: Second.
      tools:
        - google_search
    - input: Third.
      generation_config: {top_k: 1}
"""


def test_every_finding_has_its_line_and_what_turns_share_is_said_once(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(LINES)
    with pytest.raises(SpecError) as caught:
        load_job(path)
    places = [line.replace(str(path), "").split(": ")[:2] for line in str(caught.value).splitlines()]
    assert places == [
        [":6", "request.generation_config.temperature"],
        [":20", "request.turns[2].generation_config.top_k"],
    ]
    path.write_text(LINES.replace("temperature", "seed").replace("top_k", "seed"))
    places = [line.replace(str(path), "").split(": ")[:2] for line in load_job(path).warnings]
    assert places == [
        [":9", "request.response_format.schema"],
        [":7", "request.generation_config.top_p"],
        [":9", "request.response_format.schema"],
    ]


def test_a_setting_from_the_command_line_is_named_by_its_option(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("name: demo\ninput: {path: rows.jsonl}\nrequest: {model: m, input: Hi}\n")
    with pytest.raises(SpecError, match=r"^--set request.generation_config.top_k: the service has no such setting"):
        load_job(path, ["request.generation_config.top_k=4"])


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("tool_choice", "it belongs inside `generation_config`"),
        ("temperature", "it belongs inside `generation_config`"),
        ("response_mime_type", "use `response_format`"),
        ("response_modalities", "use `response_format`"),
        ("cached_content", "deprecated by the service"),
        ("previous_interaction_id", "write `turns`"),
        ("background", "batchrun decides this"),
    ],
)
def test_a_field_of_the_service_that_the_request_section_lacks_is_explained(
    tmp_path: Path, key: str, hint: str
) -> None:
    with pytest.raises(SpecError, match=f"request.{key}: unknown key: ") as caught:
        loaded(tmp_path, {key: "any"})
    assert hint in str(caught.value)


def test_the_keywords_of_a_large_schema_are_counted_not_listed(tmp_path: Path) -> None:
    inner = {"type": "object", "properties": {f"p{n}": {"type": "string", "minLength": 1} for n in range(9)}}
    schema = {"$defs": {"Line": inner}, "type": "array", "items": {"$ref": "#/$defs/Line"}, "uniqueItems": False}
    [line] = loaded(tmp_path, answer(schema=schema))
    assert "ignores minLength (Line.p0), minLength (Line.p1), minLength (Line.p2) and 6 more;" in line


def test_arrays_that_are_not_inside_each_other_are_not_too_complex(tmp_path: Path) -> None:
    long = {"type": "array", "maxItems": 100_000, "items": {"type": "string"}}
    assert loaded(tmp_path, answer(schema={"type": "object", "properties": {"a": long, "b": long}})) == ()


# -- all together ----------------------------------------------------------------------------------------------------

CASES = [changes for changes, _, _ in [*REFUSED, *IGNORED, *DOUBTFUL]] + FINE


NAMES = [
    *GENERATION.fields,
    "type",
    "uris",
    "environment_id",
    "env",
    "sources",
    "allowed_tools",
    "mode",
    "tools",
    "url",
]
WORDS = [
    "",
    "auto",
    "any",
    "remote",
    "static",
    "dynamic",
    "antigravity",
    "google_search",
    "mcp_server",
    "8s",
    "https://a.io",
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.just(0.5) | st.sampled_from([*WORDS, *NAMES]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=2),
    max_leaves=4,
)
MAPPINGS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3)
ODD = st.fixed_dictionaries(
    {},
    optional={
        "generation_config": MAPPINGS,
        "agent_config": MAPPINGS,
        "environment": MAPPINGS | st.sampled_from(WORDS),
        "safety_settings": st.lists(MAPPINGS, max_size=2),
        "webhook_config": MAPPINGS,
        "labels": st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
        "tools": st.lists(MAPPINGS | st.sampled_from(WORDS), max_size=2),
        "store": st.booleans(),
        "service_tier": st.sampled_from(["flex", "deferred"]),
    },
)


def merged(chosen: list[dict[str, Any]]) -> dict[str, Any]:
    """Several cases as one request that the job file's own rules allow."""
    whole: dict[str, Any] = {}
    for changes in chosen:
        whole |= changes
    if whole.get("turns"):
        whole["input"] = None
    if whole.get("agent"):
        whole |= {"model": None, "generation_config": None}
    elif whole.get("model", "") is None:
        del whole["model"]
    return whole


def judged(changes: dict[str, Any]) -> list[Finding]:
    spec = RequestSpec.model_validate(request(changes))
    return findings(spec, schemas_of(spec))


@settings(max_examples=300)
@given(st.lists(st.sampled_from(CASES), min_size=2, max_size=3).map(merged))
def test_no_refusal_comes_unannounced_and_no_error_is_raised_for_nothing(changes: dict[str, Any]) -> None:
    found = judged(changes)
    refused = 400 in statuses(changes)
    assert found or not refused
    assert refused or not any(each.refused for each in found)


@settings(max_examples=300)
@given(st.sampled_from([{}, RESEARCH, SANDBOX]), ODD)
def test_whatever_the_settings_hold_an_error_is_always_a_refusal(who: dict[str, Any], odd: dict[str, Any]) -> None:
    changes = merged([who, odd])
    if any(each.refused for each in judged(changes)):
        assert 400 in statuses(changes)
