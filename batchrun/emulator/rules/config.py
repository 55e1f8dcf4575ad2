"""`generation_config`, `agent_config`, `response_format` and the other nested settings of a request."""

from __future__ import annotations

import re
from collections.abc import Mapping

from batchrun.emulator.envelopes import invalid, unknown_parameter
from batchrun.emulator.faults import FAULT_LABEL, fault_named
from batchrun.emulator.rules import checks
from batchrun.emulator.rules.checks import Check, anything, boolean, list_of, one_of, record, text
from batchrun.emulator.rules.tools import tool_choice

_SPEAKERS = list_of(record({"speaker": text, "voice": text, "language": text}))
_TASKS = ("text_to_video", "image_to_video", "reference_to_video", "edit", "extend", "upscale")

_MODES = ("verbatim", "smart")
_DETAILS: dict[str, Check] = {
    "diarization_mode": one_of("speaker"),
    "timestamp_granularities": list_of(one_of("word")),
}
_MODE = record({"type": one_of(*_MODES), "source_text": text, **_DETAILS})
_TRANSCRIPTION = record(
    {
        "mode": checks.either((str, one_of(*_MODES)), (dict, _MODE)),
        "language_codes": list_of(text),
        "custom_vocabulary": list_of(text),
        **_DETAILS,
        "adaptation_phrases": list_of(text),
        "language_hints": list_of(text),
    }
)

generation_config = record(
    {
        "max_output_tokens": checks.positive,
        "thinking_level": one_of("minimal", "low", "medium", "high", "xhigh"),
        "thinking_summaries": one_of("auto", "none"),
        "stop_sequences": list_of(text),
        "seed": checks.int32,
        "tool_choice": tool_choice,
        "temperature": checks.number_between(0, 2),
        "top_p": checks.number_between(0, 1),
        "speech_config": checks.either((dict, record({"speakers": _SPEAKERS})), (list, _SPEAKERS)),
        "transcription_config": _TRANSCRIPTION,
        "video_config": record({"task": one_of(*_TASKS)}),
        "image_config": record({"aspect_ratio": text, "image_size": text}),
    }
)

_ASPECTS = ["1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9", "1:8", "8:1", "1:4", "4:1"]
_DELIVERY = one_of("inline", "uri")
_DURATION = re.compile(r"\d{1,4}(\.\d{1,9})?s")


def _duration(value: object, where: str) -> None:
    text(value, where)
    if not _DURATION.fullmatch(str(value)):
        raise checks.wrong_type("seconds such as '8s'", value, where)


_FORMATS: Mapping[str, dict[str, Check]] = {
    "text": {"mime_type": one_of("application/json", "text/plain"), "schema": anything},
    "image": {
        "mime_type": one_of("image/jpeg"),
        "aspect_ratio": one_of(*_ASPECTS),
        "image_size": one_of("512", "1K", "2K", "4K"),
        "delivery": _DELIVERY,
    },
    "audio": {
        "mime_type": one_of(*(f"audio/{kind}" for kind in ["mp3", "ogg_opus", "l16", "wav", "alaw", "mulaw"])),
        "sample_rate": checks.positive,
        "bit_rate": checks.positive,
        "delivery": _DELIVERY,
    },
    "video": {
        "aspect_ratio": one_of("16:9", "9:16"),
        "resolution": one_of("360p", "720p", "1080p", "4k"),
        "duration": _duration,
        "delivery": _DELIVERY,
        "gcs_uri": text,
    },
}


def response_format(value: object, where: str) -> None:
    if isinstance(value, list):
        list_of(_format)(value, where)
    else:
        _format(value, where)


def _format(value: object, where: str) -> None:
    if not isinstance(value, dict):
        raise checks.wrong_type("an object", value, where)
    kind = value.get("type")
    if not isinstance(kind, str) or kind not in _FORMATS:
        raise invalid(f"Invalid value at '{where}.type': {checks.shown(kind)}. Expected one of: {', '.join(_FORMATS)}.")
    for name, item in value.items():
        if name == "type":
            continue
        if name not in _FORMATS[kind]:
            raise unknown_parameter(name, where)
        if item is not None:
            _FORMATS[kind][name](item, f"{where}.{name}")
    if value.get("schema") is not None and value.get("mime_type") != "application/json":
        raise invalid(f"{where}: 'schema' needs mime_type application/json.")


_FIX: dict[str, Check] = {
    "description": text,
    "finding_id": text,
    "source_files": list_of(record({"path": text, "content": text})),
}
_AGENTS: Mapping[str, Check] = {
    "deep-research": record(
        {
            "type": text,
            "collaborative_planning": boolean,
            "thinking_summaries": one_of("auto", "none"),
            "visualization": one_of("auto", "off"),
            "enable_bigquery_tool": boolean,
        }
    ),
    "antigravity": record({"type": text, "max_total_tokens": checks.positive_int64, "model": text}),
    "code-mender": record(
        {
            "type": text,
            "model": text,
            "session_id": text,
            "session_config": record({"max_rounds": checks.positive}),
            "find_request": record({"mode": one_of("scan", "verify"), **_FIX}),
            "fix_request": record(_FIX),
        }
    ),
    "dynamic": checks.mapping,
}


def agent_config(value: object, where: str) -> None:
    if not isinstance(value, dict):
        raise checks.wrong_type("an object", value, where)
    kind = value.get("type")
    if not isinstance(kind, str) or kind not in _AGENTS:
        raise invalid(f"Invalid value at '{where}.type': {checks.shown(kind)}. Expected one of: {', '.join(_AGENTS)}.")
    _AGENTS[kind](value, where)


_ENVIRONMENT_ID = re.compile(r"[\w-]{1,128}", re.ASCII)


def _environment_id(value: object, where: str) -> None:
    text(value, where)
    if not _ENVIRONMENT_ID.fullmatch(str(value)):
        raise invalid(f"Invalid value at {where!r}: {checks.shown(value)} is no id of an environment.")


def _environment_variables(value: object, where: str) -> None:
    checks.mapping(value, where)
    for name, item in value.items() if isinstance(value, dict) else ():
        checks.either((str, text), (dict, record({"value": text, "credential": text})))(item, f"{where}.{name}")


_ALLOWED = list_of(record({"domain": text, "credential": text, "transform": anything}, "domain"))
network = checks.either(
    (str, one_of("disabled")),
    (dict, record({"allowlist": checks.either((str, one_of("disabled")), (list, _ALLOWED))})),
)
environment = checks.either(
    (str, _environment_id),
    (
        dict,
        record(
            {
                "type": one_of("remote"),
                "environment_id": _environment_id,
                "env": _environment_variables,
                "network": network,
                "sources": list_of(checks.mapping),
            }
        ),
    ),
)

_HARMS = [
    "hate_speech",
    "dangerous_content",
    "harassment",
    "sexually_explicit",
    "civic_integrity",
    "image_hate",
    "image_dangerous_content",
    "image_harassment",
    "image_sexually_explicit",
    "jailbreak",
]
safety_settings = list_of(
    record(
        {
            "type": one_of(*_HARMS),
            "threshold": one_of(
                "block_low_and_above", "block_medium_and_above", "block_only_high", "block_none", "off"
            ),
            "method": one_of("severity", "probability"),
        },
        "type",
        "threshold",
    )
)
webhook_config = record({"uris": list_of(checks.web_address), "user_metadata": checks.mapping})


def labels(value: object, where: str) -> None:
    """At most 63 code points; lower case letters of any script, digits, `_` and `-`; a key begins with a letter."""
    if not isinstance(value, dict):
        raise checks.wrong_type("an object", value, where)
    for key, item in value.items():
        text(item, f"{where}.{key}")
        if not key or not key[0].isalpha() or not _label_text(key):
            raise invalid(f"Invalid label key {checks.shown(key)} at {where!r}: {_LABEL_RULE}")
        if key == FAULT_LABEL and fault_named(item) is None:
            raise invalid(f"Label {key!r}: {checks.shown(item)} is no fault; `batchrun emulator faults` lists them.")
        if not _label_text(item):
            raise invalid(f"Invalid label value {checks.shown(item)} at {where!r}: {_LABEL_RULE}")


_LABEL_RULE = (
    "at most 63 characters, only lowercase letters, digits, underscores and dashes; a key starts with a letter."
)


def _label_text(value: str) -> bool:
    return len(value) <= 63 and all(_label_character(character) for character in value)


def _label_character(character: str) -> bool:
    if character in "_-" or character.isdecimal():
        return True
    return character.isalpha() and not character.isupper() and not character.istitle()
