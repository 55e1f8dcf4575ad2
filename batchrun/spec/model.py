"""What a user writes: the job file as pydantic models, strict, each field documented once in its description."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema, model_validator

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)")
#: Names go into paths and labels.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(value: object) -> object:
    """Seconds from a number or a string such as `200ms`, `2s`, `5m`, `1h`, `7d`; other values pass through."""
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is no duration: write a number of seconds, or 200ms, 2s, 5m, 1h, 7d")
    return float(match[1]) * _UNITS[match[2]]


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(ge=0),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": f"^{_DURATION.pattern}$"}]}
    ),
]


class Strict(BaseModel):
    """A section of the job file: unknown keys are errors and nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class InputSpec(Strict):
    """Where the rows come from."""

    path: str = Field(
        description="JSONL, JSONL.gz or Parquet file, a glob of them, or `-` for JSONL on standard input. "
        "Binary Parquet columns are left out."
    )
    key: str | None = Field(
        default=None,
        description="Column that names a row. Its values must be unique. Without it a row is named by a hash of its "
        "content and the number of its occurrence.",
    )
    where: str | None = Field(
        default=None,
        description="Jinja expression over the row's columns, such as `country == 'DE'`; other rows are left out.",
    )
    limit: int | None = Field(
        default=None, ge=1, description="Take at most this many rows (after `where`), from the top."
    )
    max_line_bytes: int = Field(
        default=16 * 1024 * 1024,
        ge=1024,
        description="A longer JSONL line (or Parquet row, as JSON) becomes a failed row.",
    )


class TextPart(Strict):
    """Text in the prompt."""

    type: Literal["text"] = Field(description="Marks a part of text.")
    text: str = Field(description="Template of the text.")


class MediaPart(Strict):
    """A local file in the prompt, sent inline as base64."""

    type: Literal["document", "image"] = Field(description="What the file is; its content is checked against it.")
    path: str = Field(description="Template of the file's path, relative to the job file and inside `media_root`.")
    mime_type: str | None = Field(default=None, description="Overrides the type found in the file's content and name.")
    resolution: Literal["low", "medium", "high", "ultra_high"] | None = Field(
        default=None, description="Media resolution passed to the API."
    )


Part = Annotated[TextPart | MediaPart, Field(discriminator="type")]


def _shape(value: object) -> str:
    """Which form of a field is meant, so that an error is reported for that form only."""
    return "list" if isinstance(value, list) else "object" if isinstance(value, dict) else "text"


_Text = Annotated[str, Tag("text")]
_Object = Annotated[dict[str, Any], Tag("object")]
_Parts = Annotated[list[Part], Tag("list")]
_BY_SHAPE = Discriminator(
    _shape, custom_error_type="shape", custom_error_message="a value of another type is expected here"
)


class ResponseFormat(Strict):
    """The answer's form. With a schema every answer is validated and becomes typed columns."""

    type: Literal["text"] = Field(default="text", description="Kind of answer.")
    mime_type: Literal["application/json", "text/plain"] | None = Field(
        default=None, description="Default: `application/json` with a schema, else left out."
    )
    json_schema: Annotated[_Object | _Text, _BY_SHAPE] | None = Field(
        default=None,
        alias="schema",
        description="JSON Schema: inline, the path of a JSON or YAML file, or `module:PydanticModel` "
        "(the module is looked up beside the job file first).",
    )

    @model_validator(mode="after")
    def _schema_means_json(self) -> ResponseFormat:
        if self.json_schema is not None and self.mime_type == "text/plain":
            raise ValueError("a schema needs `mime_type: application/json`, or none")
        return self


class RequestSpec(Strict):
    """The request made of each row. Fields not listed as templates are passed to the API as they are."""

    model: str | None = Field(
        default=None, description="Model id, such as `gemini-3.5-flash`. Exactly one of `model` and `agent`."
    )
    agent: str | None = Field(default=None, description="Agent id. Exactly one of `model` and `agent`.")
    system_instruction: str | None = Field(default=None, description="Template of the system instruction.")
    input: Annotated[_Text | _Parts, _BY_SHAPE] | None = Field(
        default=None, description="One template, or a list of parts: text, and local documents and images."
    )
    generation_config: dict[str, Any] | None = Field(
        default=None, description="Passed through (`thinking_level`, `max_output_tokens`, `seed`, …). Models only."
    )
    agent_config: dict[str, Any] | None = Field(default=None, description="Passed through. Agents only.")
    environment: Annotated[_Text | _Object, _BY_SHAPE] | None = Field(
        default=None, description="Passed through: the sandbox of an agent."
    )
    response_format: ResponseFormat | None = Field(default=None, description="Form of the answer.")
    tools: list[dict[str, Any]] | None = Field(default=None, description="Passed through.")
    labels: dict[str, str] | None = Field(default=None, description="Passed through; batchrun adds `batchrun-intent`.")
    service_tier: Literal["standard", "flex", "priority", "deferred"] | None = Field(
        default=None, description="Passed through."
    )
    store: Literal[True] | None = Field(
        default=None, description="Passed through. Background interactions need it, so `false` is an error."
    )
    column: str = Field(
        default="request",
        description="A row that has this column (an object) carries a complete request of its own; "
        "the fields above fill in what it leaves out.",
    )
    media_root: str = Field(
        default=".", description="Directory, relative to the job file, that media paths must stay inside."
    )

    @model_validator(mode="after")
    def _one_of_model_and_agent(self) -> RequestSpec:
        if self.model and self.agent:
            raise ValueError("give `model` or `agent`, not both")
        if self.agent and self.generation_config:
            raise ValueError("agents do not take `generation_config`; use `agent_config`")
        return self


class LimitsSpec(Strict):
    """How fast, and how much at once."""

    rpm: float | None = Field(
        default=None, gt=0, description="POSTs a minute. Default: no limit of our own; 429 answers are honoured."
    )
    tpm: float | None = Field(
        default=None, gt=0, description="Input tokens a minute, estimated first and corrected by real usage."
    )
    in_flight: int = Field(
        default=200, ge=1, description="Rows under way at once (submitted interactions that are polled)."
    )
    posts: int = Field(
        default=16, ge=1, description="Open POSTs at once. What one crash can leave ambiguous is at most this many."
    )


class PollSpec(Strict):
    """How answers are fetched."""

    first: Duration = Field(default=2.0, description="Wait before the first poll of an interaction.")
    growth: float = Field(default=1.5, ge=1, description="Factor from one wait to the next.")
    ceiling: Duration = Field(default=30.0, description="Longest wait between two polls.")
    deadline: Duration = Field(
        default=3600.0,
        description="A row that has no answer this long after its submission is cancelled and fails as `timed_out`.",
    )
    rpm: float | None = Field(default=3000, gt=0, description="Polls a minute, all rows together.")


class AmbiguousSpec(Strict):
    """What to do with a POST of which nobody can tell whether it was billed."""

    model: Literal["hold", "resubmit"] = Field(default="resubmit", description="For model interactions.")
    agent: Literal["hold", "resubmit"] = Field(default="hold", description="For agent interactions (dollars each).")
    max_resubmits: int | None = Field(
        default=None,
        ge=0,
        description="Resubmissions in a run before rows are held. Default: 1 % of the rows, at least 3.",
    )


class RetrySpec(Strict):
    """What is tried again. A retry is the same HTTP call; an attempt is a new, billed interaction."""

    attempts: int = Field(
        default=1,
        ge=1,
        description="Interactions a row may cost when the service itself fails them. 1: never pay again.",
    )
    calls: int = Field(
        default=8,
        ge=1,
        description="Rounds of refused or unsent POSTs, with none getting through, after which the run stops.",
    )
    first: Duration = Field(default=1.0, description="Ceiling of the first random wait; it doubles from wait to wait.")
    ceiling: Duration = Field(default=60.0, description="Longest random wait.")
    server_ceiling: Duration = Field(
        default=900.0, description="Longest wait taken over from a server's Retry-After or RetryInfo."
    )
    ambiguous: AmbiguousSpec = Field(default_factory=AmbiguousSpec, description="POSTs whose fate is unknown.")


class OutputSpec(Strict):
    """What is written."""

    dir: str | None = Field(default=None, description="Directory of the output files. Default: the run directory.")
    columns: list[str] = Field(default_factory=list, description="Input columns copied into the results.")
    jsonl: bool = Field(default=False, description="Also write `results.jsonl`.")


class JobSpec(Strict):
    """A job file. Paths are relative to it. The API key comes from the environment, never from here."""

    name: str = Field(pattern=NAME_PATTERN, description="Names the job and its run directory.")
    input: InputSpec = Field(description="Where the rows come from.")
    request: RequestSpec = Field(default_factory=RequestSpec, description="The request made of each row.")
    limits: LimitsSpec = Field(default_factory=LimitsSpec, description="How fast, and how much at once.")
    poll: PollSpec = Field(default_factory=PollSpec, description="How answers are fetched.")
    retry: RetrySpec = Field(default_factory=RetrySpec, description="What is tried again.")
    output: OutputSpec = Field(default_factory=OutputSpec, description="What is written.")
