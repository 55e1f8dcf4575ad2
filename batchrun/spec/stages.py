"""The `stages` section of a job file: what rows flow through, as pydantic models."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, Tag, model_validator

from batchrun.spec.asking import RequestSpec
from batchrun.spec.fields import BY_SHAPE, ColumnName, Duration, Strict, Text

#: The stage that the rows of the input are in.
INPUT = "input"
#: What templates and transforms find in a row beside its columns: the outputs of the stages before it, by their names,
#: and in a batch its rows.
STAGES, ROWS = "stages", "rows"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")


def _stage_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r:.60} is no name of a stage: letters, digits and _, as templates can say it")
    if name == INPUT:
        raise ValueError(f"{INPUT!r} is the name of the input itself")
    return name


StageName = Annotated[str, AfterValidator(_stage_name)]


class BatchSpec(Strict):
    """Rows taken together: the stage's unit is a group of the rows that it needs."""

    by: ColumnName | None = Field(
        default=None,
        description="Column of the input whose value names the group, which begins when its own rows have ended. "
        "Without it all rows are one group, `all`.",
    )
    failed: Literal["skip", "leave_out"] = Field(
        default="skip",
        description="What a row that failed does to its group: `skip` the group, or `leave_out` the row.",
    )


class StageLimitsSpec(Strict):
    """A stage's own limits, within those of the job."""

    rpm: float | None = Field(default=None, gt=0, description="POSTs a minute of this stage.")
    tpm: float | None = Field(default=None, gt=0, description="Input tokens a minute of this stage.")
    max_cost: float | None = Field(default=None, gt=0, description="US dollars that this stage may cost.")


class StagePollSpec(Strict):
    """How long a stage's answers are waited for; the rest is the job's."""

    deadline: Duration | None = Field(default=None, description="As `poll.deadline` of the job, for this stage.")


class StageRetrySpec(Strict):
    """What is tried again of a stage; the rest is the job's."""

    attempts: int | None = Field(default=None, ge=1, description="As `retry.attempts` of the job, for this stage.")
    ambiguous: Literal["hold", "resubmit"] | None = Field(
        default=None, description="What to do with a POST of this stage of which nobody can tell whether it was billed."
    )


class StageSpec(Strict):
    """One stage: what it needs, and what it does with each row."""

    needs: Annotated[Text | Annotated[list[str], Tag("list")], BY_SHAPE] = Field(
        default=INPUT,
        description="The stage (or stages of rows with the same keys) whose outputs a row waits for. Default: `input`, "
        "the rows of the input.",
    )
    when: str | None = Field(
        default=None,
        description="Jinja expression, such as `stages.classify.output.type == 'invoice'`; other rows are skipped.",
    )
    request: RequestSpec | None = Field(default=None, description="What is asked for each row.")
    transform: str | None = Field(
        default=None,
        description="Your function, as `module:name`: it is given a row (or an iterator of the rows of a batch) and "
        "returns a dict, or None to leave the row out. Modules are looked up beside the job file first.",
    )
    explode: bool = Field(
        default=False, description="The transform returns a list; each item is a row of its own for what follows."
    )
    batch: BatchSpec | None = Field(default=None, description="Take the rows in groups, not one by one.")
    continues: str | None = Field(
        default=None,
        alias="continue",
        description="A stage before this one whose interaction the service itself goes on from "
        "(`previous_interaction_id`). What does not carry over (tools, instructions, formats) is this stage's own.",
    )
    poll: StagePollSpec = Field(default_factory=StagePollSpec, description="How long its answers are waited for.")
    retry: StageRetrySpec = Field(default_factory=StageRetrySpec, description="What of it is tried again.")
    timeout: Duration = Field(default=300.0, gt=0, description="Longest time that one call of the transform may take.")
    limits: StageLimitsSpec = Field(default_factory=StageLimitsSpec, description="Limits of this stage alone.")

    @model_validator(mode="after")
    def _one_work(self) -> StageSpec:
        if (self.request is None) == (self.transform is None):
            raise ValueError("give `request` or `transform`, one of them")
        if self.batch is None and "batch" in self.model_fields_set:
            raise ValueError("`batch` is empty: write `batch: {}` for all rows in one, or `batch: {by: COLUMN}`")
        if self.explode and self.transform is None:
            raise ValueError("`explode` needs a `transform`, which returns a list")
        if self.continues and self.request is None:
            raise ValueError("`continue` needs a `request`: a transform asks the service for nothing")
        if self.continues and self.batch:
            raise ValueError("`continue` goes on from one interaction, and a batch has many rows")
        return self

    @property
    def needed(self) -> tuple[str, ...]:
        """The stages it needs, each once."""
        return tuple(dict.fromkeys([self.needs] if isinstance(self.needs, str) else self.needs))
