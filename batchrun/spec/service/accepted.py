"""What the service takes in the settings that are passed through, setting by setting. Pure data.

As documented for revision 2026-05-20 of the API and known to google-genai 3.4.0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from batchrun.spec.reading.positions import KeyPath
from batchrun.spec.service import shapes
from batchrun.spec.service.shapes import (
    Finding,
    Findings,
    Record,
    Shape,
    advice,
    but,
    choice,
    flag,
    list_of,
    mapping,
    text,
)

# -- generation_config -----------------------------------------------------------------------------------------------

_MODES = choice("auto", "any", "none", "validated")
_TOOL_CHOICE = shapes.either(
    (str, _MODES), (dict, Record({"allowed_tools": Record({"mode": _MODES, "tools": list_of(text)})}))
)
_SPEAKERS = list_of(Record({"speaker": text, "voice": text, "language": text}))
_OLD_SPEAKERS = but(_SPEAKERS, "the older form; write a mapping with the list in `speakers`")
_GONE = "it is not part of this API; remove it"
_OUTSIDE = "it stands in `request`, beside `generation_config`"
_FLAT = ("diarization_mode", "timestamp_granularities", "adaptation_phrases", "language_hints")


def _transcription(value: Any, path: KeyPath) -> Findings:
    yield from mapping(value, path)
    for name in _FLAT if isinstance(value, dict) else ():
        if name in value:
            yield advice((*path, name), "deprecated here: the service has it inside `mode`, or under another name")


GENERATION = Record(
    {
        "max_output_tokens": shapes.positive,
        "thinking_level": choice("minimal", "low", "medium", "high", "xhigh"),
        "thinking_summaries": choice("auto", "none"),
        "stop_sequences": list_of(text),
        "seed": shapes.whole,
        "tool_choice": _TOOL_CHOICE,
        "temperature": shapes.number,
        "top_p": shapes.number,
        "speech_config": shapes.either((dict, Record({"speakers": _SPEAKERS})), (list, _OLD_SPEAKERS)),
        "transcription_config": _transcription,
        "video_config": Record(
            {"task": choice("text_to_video", "image_to_video", "reference_to_video", "edit", "extend", "upscale")}
        ),
        "image_config": but(
            Record({"aspect_ratio": text, "image_size": text}),
            "deprecated: write `response_format` with `type: image` instead",
        ),
    },
    instead={
        **dict.fromkeys(("top_k", "candidate_count", "presence_penalty", "frequency_penalty"), _GONE),
        **dict.fromkeys(("response_logprobs", "logprobs"), _GONE),
        **dict.fromkeys(("thinking_config", "thinking_budget"), "write `thinking_level`"),
        **dict.fromkeys(("response_mime_type", "response_schema", "response_json_schema"), "use `response_format`"),
        "response_modalities": "use `response_format`",
        **dict.fromkeys(("response_format", "system_instruction", "tools", "functions", "safety_settings"), _OUTSIDE),
        "tool_config": "write `tool_choice`",
    },
)

# -- response_format -------------------------------------------------------------------------------------------------

COMPRESSED = ("audio/mp3", "audio/ogg_opus")
_ASPECTS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9", "1:8", "8:1", "1:4", "4:1")
_DURATION = re.compile(r"\d{1,4}(\.\d{1,9})?s")


def _duration(value: Any, path: KeyPath) -> Findings:
    if not _DURATION.fullmatch(value):
        yield Finding(path, f"the service takes seconds such as 8s here, not {value!r:.60}")


#: For each kind of answer the fields whose values the service limits.
FORMATS: Mapping[str, Mapping[str, Shape]] = {
    "text": {},
    "image": {
        "mime_type": choice("image/jpeg"),
        "aspect_ratio": choice(*_ASPECTS),
        "image_size": choice("512", "1K", "2K", "4K"),
    },
    "audio": {"mime_type": choice(*COMPRESSED, "audio/l16", "audio/wav", "audio/alaw", "audio/mulaw")},
    "video": {
        "aspect_ratio": choice("16:9", "9:16"),
        "resolution": choice("360p", "720p", "1080p", "4k"),
        "duration": _duration,
        "gcs_uri": but(shapes.anything, "only the Enterprise service has this, and there only with `delivery: uri`"),
    },
}

# -- tools -----------------------------------------------------------------------------------------------------------

_ENTERPRISE = "only the Enterprise service has this"
_RETRIEVAL = ("vertex_ai_search", "rag_store", "exa_ai_search", "parallel_ai_search")


def _parameters(value: Any, path: KeyPath) -> Findings:
    yield from mapping(value, path)
    if isinstance(value, dict) and value.get("required") == []:
        yield Finding((*path, "required"), "the service refuses an empty list here; leave it out")


def _search_types(value: Any, path: KeyPath) -> Findings:
    yield from list_of(choice("web_search", "image_search", "enterprise_web_search"))(value, path)
    if isinstance(value, list) and "enterprise_web_search" in value:
        yield advice(path, f"enterprise_web_search: {_ENTERPRISE}")


def _tool(fields: Mapping[str, Shape], *needed: str) -> Record:
    return Record({"type": text, **fields}, needed)


_ALLOWED_TOOLS = list_of(Record({"mode": _MODES, "tools": list_of(text)}))
TOOLS: Mapping[str, Shape] = {
    "function": _tool(
        {
            "name": text,
            "description": text,
            "parameters": _parameters,
            "defer_loading": flag,
            "short_description": text,
        },
        "name",
    ),
    "google_search": _tool({"search_types": _search_types}),
    "google_maps": _tool({"enable_widget": flag, "latitude": shapes.number, "longitude": shapes.number}),
    "code_execution": _tool({}),
    "url_context": _tool({}),
    "file_search": _tool(
        {"file_search_store_names": list_of(text), "metadata_filter": text, "top_k": shapes.whole},
        "file_search_store_names",
    ),
    "computer_use": _tool(
        {
            "environment": choice("browser", "mobile", "desktop"),
            "excluded_predefined_functions": list_of(text),
            "disabled_safety_policies": list_of(text),
            "enable_prompt_injection_detection": flag,
        }
    ),
    "mcp_server": _tool(
        {"name": text, "url": text, "headers": mapping, "allowed_tools": _ALLOWED_TOOLS}, "name", "url"
    ),
    "retrieval": but(
        _tool(
            {
                "retrieval_types": list_of(choice(*_RETRIEVAL)),
                **{f"{kind}_config": shapes.anything for kind in _RETRIEVAL},
            }
        ),
        _ENTERPRISE,
    ),
    "tool_search": _tool(
        {"execution": choice("server", "client"), "name": text, "description": text, "parameters": mapping}
    ),
    "bash": _tool({}),
    "filesystem": _tool({}),
}

# -- agents ----------------------------------------------------------------------------------------------------------


def _token_count(value: Any, path: KeyPath) -> Findings:
    """64 bits, which clients of protobuf write as text."""
    if not (isinstance(value, str) and re.fullmatch(r"-?\d{1,19}", value, re.ASCII)):
        yield from shapes.whole(value, path)


AGENT_CONFIG = shapes.by_type(
    {
        "deep-research": Record(
            {
                "type": text,
                "collaborative_planning": flag,
                "thinking_summaries": choice("auto", "none"),
                "visualization": choice("auto", "off"),
                "enable_bigquery_tool": flag,
            }
        ),
        "antigravity": Record({"type": text, "max_total_tokens": _token_count, "model": text}),
        "code-mender": Record(
            {"type": text, "model": text, "session_id": text}
            | dict.fromkeys(("session_config", "find_request", "fix_request"), mapping)
        ),
        "dynamic": mapping,
    }
)


def _environment_id(value: Any, path: KeyPath) -> Findings:
    if not isinstance(value, str) or not re.fullmatch(r"[\w-]{1,128}", value, re.ASCII):
        yield Finding(
            path, f"the service takes `remote`, the id of an environment or a mapping here{shapes.got(value)}"
        )
    elif value.startswith("env_"):
        yield advice(path, "ids have no `env_` in front: with it another sandbox may be meant")


ENVIRONMENT = shapes.either(
    (str, _environment_id),
    (
        dict,
        Record(
            {
                "type": choice("remote"),
                "environment_id": _environment_id,
                "env": mapping,
                "network": shapes.anything,
                "sources": list_of(mapping),
            }
        ),
    ),
)

# -- the rest --------------------------------------------------------------------------------------------------------

_HARMS = (
    "hate_speech", "dangerous_content", "harassment", "sexually_explicit", "civic_integrity", "image_hate",
    "image_dangerous_content", "image_harassment", "image_sexually_explicit", "jailbreak",
)  # fmt: skip
_THRESHOLDS = ("block_low_and_above", "block_medium_and_above", "block_only_high", "block_none", "off")
_SAFETY = list_of(
    Record(
        {"type": choice(*_HARMS), "threshold": choice(*_THRESHOLDS), "method": choice("severity", "probability")},
        needed=("type", "threshold"),
    )
)


def _address(value: Any, path: KeyPath) -> Findings:
    if not isinstance(value, str) or not re.match(r"https?://[^/]", value, re.IGNORECASE):
        yield Finding(path, f"the service takes an address that begins with https:// here{shapes.got(value)}")


def _labels(value: Mapping[str, str], path: KeyPath) -> Findings:
    for key, item in value.items():
        if not key or not key[0].isalpha() or not (_fits_label(key) and _fits_label(item)):
            yield Finding(
                (*path, key),
                "the service refuses this label: key and value have at most 63 characters, only lowercase letters, "
                "digits, `_` and `-`, and a key begins with a letter",
            )
        elif key == "batchrun-intent":
            yield advice((*path, key), "batchrun sets this label itself, so yours is replaced; choose another name")


def _fits_label(part: str) -> bool:
    return len(part) <= 63 and all(
        c in "_-" or c.isdecimal() or (c.isalpha() and not c.isupper() and not c.istitle()) for c in part
    )


#: The settings of `request` that are passed through.
SETTINGS: Mapping[str, Shape] = {
    "generation_config": GENERATION,
    "agent_config": AGENT_CONFIG,
    "environment": ENVIRONMENT,
    "labels": _labels,
    "safety_settings": but(_SAFETY, "the service's guide lists settings of one's own as not supported yet"),
    "webhook_config": Record({"uris": list_of(_address), "user_metadata": mapping}),
}
