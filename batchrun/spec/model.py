"""What a user writes: the job file as pydantic models, strict, each field documented once in its description."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(value: object) -> object:
    """Seconds from a number or a string such as `200ms`, `2s`, `5m`, `1h`, `7d`; other values pass through."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", value.strip())
    if match is None:
        raise ValueError(f"{value!r} is no duration: write a number of seconds, or 200ms, 2s, 5m, 1h, 7d")
    return float(match[1]) * _UNITS[match[2]]


Duration = Annotated[float, BeforeValidator(parse_duration), Field(ge=0)]


class Strict(BaseModel):
    """A section of the job file: unknown keys are errors and nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class InputSpec(Strict):
    """Where the rows come from."""

    path: str = Field(description="JSONL, JSONL.gz or Parquet file, a glob of them, or `-` for JSONL on standard input.")
    key: str | None = Field(
        None,
        description="Column that names a row. Its values must be unique. Without it a row is named by a hash of its content "
        "and the number of its occurrence.",
    )
    where: str | None = Field(
        None, description="Jinja expression over the row's columns, such as `country == 'DE'`; other rows are left out."
    )
    limit: int | None = Field(None, ge=1, description="Take at most this many rows (after `where`), from the top.")
    max_line_bytes: int = Field(
        16 * 1024 * 1024, ge=1024, description="A longer JSONL line (or Parquet row, as JSON) becomes a failed row."
    )


class TextPart(Strict):
    """Text in the prompt."""

    type: Literal["text"]
    text: str = Field(description="Template of the text.")


class MediaPart(Strict):
    """A local file in the prompt, sent inline as base64."""

    type: Literal["document", "image"] = Field(description="What the file is; its content is checked against it.")
    path: str = Field(description="Template of the file's path, relative to the job file and inside `media_root`.")
    mime_type: str | None = Field(None, description="Overrides the type found in the file's content and name.")
    resolution: Literal["low", "medium", "high", "ultra_high"] | None = Field(
        None, description="Media resolution passed to the API."
    )


Part = Annotated[TextPart | MediaPart, Field(discriminator="type")]


class ResponseFormat(Strict):
    """The answer's form. With a schema every answer is validated and becomes typed columns."""

    type: Literal["text"] = Field("text", description="Kind of answer.")
    mime_type: Literal["application/json", "text/plain"] | None = Field(
        None, description="Default: `application/json` with a schema, else left out."
    )
    json_schema: dict[str, Any] | str | None = Field(
        None,
        alias="schema",
        description="JSON Schema: inline, the path of a JSON or YAML file, or `module:PydanticModel` "
        "(the module is looked up beside the job file first).",
    )


class RequestSpec(Strict):
    """The request made of each row. Fields not listed as templates are passed to the API as they are."""

    model: str | None = Field(None, description="Model id, such as `gemini-3.5-flash`. Exactly one of `model` and `agent`.")
    agent: str | None = Field(None, description="Agent id. Exactly one of `model` and `agent`.")
    system_instruction: str | None = Field(None, description="Template of the system instruction.")
    input: str | list[Part] | None = Field(
        None, description="One template, or a list of parts: text, and local documents and images."
    )
    generation_config: dict[str, Any] | None = Field(
        None, description="Passed through (`thinking_level`, `max_output_tokens`, `seed`, …). Models only."
    )
    agent_config: dict[str, Any] | None = Field(None, description="Passed through. Agents only.")
    environment: str | dict[str, Any] | None = Field(None, description="Passed through: the sandbox of an agent.")
    response_format: ResponseFormat | None = Field(None, description="Form of the answer.")
    tools: list[dict[str, Any]] | None = Field(None, description="Passed through.")
    labels: dict[str, str] | None = Field(None, description="Passed through; batchrun adds `batchrun-intent`.")
    service_tier: Literal["standard", "flex", "priority", "deferred"] | None = Field(None, description="Passed through.")
    store: Literal[True] | None = Field(
        None, description="Passed through. Background interactions need it, so `false` is an error."
    )
    column: str = Field(
        "request",
        description="A row that has this column (an object) carries a complete request of its own; "
        "the fields above fill in what it leaves out.",
    )
    media_root: str = Field(".", description="Directory, relative to the job file, that media paths must stay inside.")


class LimitsSpec(Strict):
    """How fast, and how much at once."""

    rpm: float | None = Field(None, gt=0, description="POSTs a minute. Default: no limit of our own; 429 answers are honoured.")
    tpm: float | None = Field(None, gt=0, description="Input tokens a minute, estimated first and corrected by real usage.")
    in_flight: int = Field(200, ge=1, description="Rows under way at once (submitted interactions that are polled).")
    posts: int = Field(
        16, ge=1, description="Open POSTs at once. What one crash can leave ambiguous is at most this many."
    )


class PollSpec(Strict):
    """How answers are fetched."""

    first: Duration = Field(2.0, description="Wait before the first poll of an interaction.")
    growth: float = Field(1.5, ge=1, description="Factor from one wait to the next.")
    ceiling: Duration = Field(30.0, description="Longest wait between two polls.")
    deadline: Duration = Field(
        3600.0, description="A row that has no answer this long after its submission is cancelled and fails as `timed_out`."
    )
    rpm: float | None = Field(3000, gt=0, description="Polls a minute, all rows together.")


class AmbiguousSpec(Strict):
    """What to do with a POST of which nobody can tell whether it was billed."""

    model: Literal["hold", "resubmit"] = Field("resubmit", description="For model interactions.")
    agent: Literal["hold", "resubmit"] = Field("hold", description="For agent interactions (dollars each).")
    max_resubmits: int | None = Field(
        None, ge=0, description="Resubmissions in a run before rows are held. Default: 1 % of the rows, at least 3."
    )


class RetrySpec(Strict):
    """What is tried again. A retry is the same HTTP call; an attempt is a new, billed interaction."""

    attempts: int = Field(
        1, ge=1, description="Interactions a row may cost when the service itself fails them. 1: never pay again."
    )
    calls: int = Field(8, ge=1, description="Times one HTTP call is tried while it is refused or cannot be sent.")
    first: Duration = Field(1.0, description="Ceiling of the first random wait; it doubles from wait to wait.")
    ceiling: Duration = Field(60.0, description="Longest random wait.")
    server_ceiling: Duration = Field(900.0, description="Longest wait taken over from a server's Retry-After or RetryInfo.")
    ambiguous: AmbiguousSpec = Field(default_factory=AmbiguousSpec, description="POSTs whose fate is unknown.")


class OutputSpec(Strict):
    """What is written."""

    dir: str | None = Field(None, description="Directory of the output files. Default: the run directory.")
    columns: list[str] = Field(default_factory=list, description="Input columns copied into the results.")
    jsonl: bool = Field(False, description="Also write `results.jsonl`.")


class JobSpec(Strict):
    """A job file. Paths are relative to it. The API key comes from the environment, never from here."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$", description="Names the job and its run directory.")
    input: InputSpec = Field(description="Where the rows come from.")
    request: RequestSpec = Field(default_factory=RequestSpec, description="The request made of each row.")
    limits: LimitsSpec = Field(default_factory=LimitsSpec, description="How fast, and how much at once.")
    poll: PollSpec = Field(default_factory=PollSpec, description="How answers are fetched.")
    retry: RetrySpec = Field(default_factory=RetrySpec, description="What is tried again.")
    output: OutputSpec = Field(default_factory=OutputSpec, description="What is written.")

    @model_validator(mode="after")
    def _one_of_model_and_agent(self) -> JobSpec:
        if self.request.model and self.request.agent:
            raise ValueError("request: give `model` or `agent`, not both")
        if self.request.agent and self.request.generation_config:
            raise ValueError("request.generation_config: agents do not take it; use `agent_config`")
        return self
