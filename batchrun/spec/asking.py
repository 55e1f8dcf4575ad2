"""The `request` section of a job file: what is asked of the service for each row, turn by turn."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from batchrun.spec.fields import BY_SHAPE, ColumnName, Duration, Object, Size, Strict, Text
from batchrun.spec.formats import Formats, TextFormat
from batchrun.spec.parts import Part, Parts

_HOST = re.compile(r"[^\W_](?:[\w.-]*[^\W_])?")

#: Tools of the service by their plain names, such as `google_search`.
Tool = Annotated[Text | Object, BY_SHAPE]


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError(f"{value!r:.60} is no host: write the host alone, such as archive.example.com")
    return value


#: The host of addresses, without scheme, port and path.
Host = Annotated[str, AfterValidator(_host)]


class Turn(Strict):
    """One turn of a conversation. What it leaves out is taken from the request."""

    input: Annotated[Text | Annotated[Parts, Tag("list")], BY_SHAPE] = Field(
        description="One template, or a list of parts. Templates also see `answers`: the texts of the turns before."
    )
    system_instruction: str | None = Field(default=None, description="Template of the system instruction.")
    generation_config: dict[str, Any] | None = Field(default=None, description="Passed through. Models only.")
    response_format: Formats | None = Field(default=None, description="Form of this turn's answer.")
    tools: list[Tool] | None = Field(default=None, description="Tools of this turn.")


class FunctionCallingSpec(Strict):
    """How the model's calls of your functions are carried out."""

    rounds: int = Field(
        default=10, ge=1, description="Rounds of calls in one turn; a model that wants more fails the row."
    )
    timeout: Duration = Field(default=60.0, description="Longest time one call may take; then the model is told so.")
    at_once: int = Field(default=8, ge=1, description="Calls under way at once, all rows together.")
    interrupted: Literal["hold", "rerun"] = Field(
        default="hold",
        description="A call that a dying process left without a result: `hold` the row for you to decide, or `rerun` "
        "it, if your functions may safely run twice.",
    )


def _turn_kind(value: object) -> str:
    return "turn" if isinstance(value, dict) else "list" if isinstance(value, list) else "text"


_Turn = Annotated[
    Text | Annotated[Parts, Tag("list")] | Annotated[Turn, Tag("turn")],
    Discriminator(
        _turn_kind, custom_error_type="shape", custom_error_message="a template, a list of parts or a turn is expected"
    ),
]


#: Fields that take the place of others.
_INSTEAD = {
    "model": ("agent", "agent_config"),
    "agent": ("model", "generation_config"),
    "input": ("turns",),
    "turns": ("input",),
}


class RequestSpec(Strict):
    """The request made of each row. Fields not listed as templates are passed to the API as they are."""

    model: str | None = Field(
        default=None, description="Model id, such as `gemini-3.5-flash`. Exactly one of `model` and `agent`."
    )
    agent: str | None = Field(default=None, description="Agent id. Exactly one of `model` and `agent`.")
    system_instruction: str | None = Field(default=None, description="Template of the system instruction.")
    input: Annotated[Text | Annotated[Parts, Tag("list")], BY_SHAPE] | None = Field(
        default=None, description="One template, or a list of parts: text, documents, images, audio, video."
    )
    generation_config: dict[str, Any] | None = Field(
        default=None, description="Passed through (`thinking_level`, `max_output_tokens`, `seed`, …). Models only."
    )
    agent_config: dict[str, Any] | None = Field(default=None, description="Passed through. Agents only.")
    environment: Annotated[Text | Object, BY_SHAPE] | None = Field(
        default=None, description="Passed through: the sandbox of an agent. Later turns of a row go on in the same one."
    )
    approve: Literal["auto", "hold"] = Field(
        default="auto",
        description="What follows the plan of a research agent with `collaborative_planning: true`: approve it, or end "
        "the row as `awaiting_approval` until `batchrun approve`.",
    )
    response_format: Formats | None = Field(
        default=None, description="Form of the answer, or a list of forms for an answer of several kinds."
    )
    tools: list[Tool] | None = Field(
        default=None, description="Tools of the service: names such as `google_search`, or objects passed through."
    )
    turns: list[_Turn] | None = Field(
        default=None,
        min_length=1,
        description="A conversation instead of one `input`: each turn is sent when the one before is answered, and the "
        "last answer is the row's.",
    )
    functions: Annotated[Text | Annotated[list[str], Tag("list")], BY_SHAPE] | None = Field(
        default=None,
        description="Your Python functions that the model may call: `module:name`, `module` (all its public "
        "functions), or a list of these. Modules are looked up beside the job file first.",
    )
    function_calling: FunctionCallingSpec = Field(
        default_factory=FunctionCallingSpec, description="How the model's calls of your functions are carried out."
    )
    labels: dict[str, str] | None = Field(default=None, description="Passed through; batchrun adds `batchrun-intent`.")
    safety_settings: list[dict[str, Any]] | None = Field(default=None, description="Passed through.")
    service_tier: Literal["standard", "flex", "priority", "deferred"] | None = Field(
        default=None, description="Passed through."
    )
    webhook_config: dict[str, Any] | None = Field(default=None, description="Passed through.")
    store: bool = Field(
        default=True,
        description="`false`: nothing is kept at the service. Then each POST waits for its answer (background needs "
        "storage), all earlier steps of a conversation are sent again, and an answer lost on the way is lost.",
    )
    column: ColumnName = Field(
        default="request",
        description="A row that has this column (an object) carries a complete request of its own; "
        "the fields above fill in what it leaves out.",
    )
    media_root: str = Field(
        default=".", description="Directory, relative to the job file, that media paths must stay inside."
    )
    inline_limit: Size = Field(
        default=8_000_000,
        description="Most bytes of media sent inside one request; larger files are uploaded once and referred to.",
    )
    fetch: list[Host] = Field(
        default_factory=list,
        description="Hosts from which batchrun itself may fetch https parts (then sent like local files). Other "
        "addresses are passed on for the service to fetch.",
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> RequestSpec:
        if self.model and self.agent:
            raise ValueError("give `model` or `agent`, not both")
        if self.agent and self.generation_config:
            raise ValueError("agents do not take `generation_config`; use `agent_config`")
        if self.input is not None and self.turns is not None:
            raise ValueError("give `input` or `turns`, not both")
        return self

    @property
    def text_format(self) -> TextFormat | None:
        """The form of the answer's text, if there is one."""
        return text_format_of(self.response_format)

    @property
    def references(self) -> list[str]:
        """The functions, as a list."""
        return [self.functions] if isinstance(self.functions, str) else self.functions or []

    def filled_in(self, defaults: RequestSpec) -> RequestSpec:
        """With the fields of `defaults` that this one leaves out, but for what goes with another model or prompt."""
        own = self.model_fields_set
        clash = {other for field, others in _INSTEAD.items() if field in own for other in others}
        taken = defaults.model_fields_set - own - clash
        return self.model_copy(update={name: getattr(defaults, name) for name in taken})

    def each_turn(self) -> list[RequestSpec]:
        """The request of each turn by itself, without `turns`; one for a request that has only an `input`."""
        if self.turns is None:
            return [self]
        return [self.model_copy(update={"turns": None, **_said(turn)}) for turn in self.turns]


def text_format_of(formats: object) -> TextFormat | None:
    """The text format in a `response_format`, which may be a list."""
    listed = formats if isinstance(formats, list) else [formats]
    return next((each for each in listed if isinstance(each, TextFormat)), None)


def _said(turn: str | list[Part] | Turn) -> dict[str, Any]:
    if not isinstance(turn, Turn):
        return {"input": turn}
    return {name: getattr(turn, name) for name in turn.model_fields_set if getattr(turn, name) is not None}
