"""What a user writes: the job file as pydantic models, strict, each field documented once in its description."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from batchrun.spec.alerting import AlertsSpec
from batchrun.spec.asking import RequestSpec
from batchrun.spec.fields import ColumnName, Duration, Strict
from batchrun.spec.scheduling import ScheduleSpec
from batchrun.spec.stages import StageName, StageSpec

#: Names go into paths and labels.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"


class InputSpec(Strict):
    """Where the rows come from."""

    path: str | None = Field(
        default=None,
        description="JSONL, JSONL.gz or Parquet file, a glob of them, or `-` for JSONL on standard input. "
        "Binary Parquet columns are left out.",
    )
    files: str | None = Field(
        default=None,
        description="In place of `path`: a glob of files of which each is a row, such as `inbox/**/*.pdf`. Its columns "
        "are `file` (the path, which is the key), `name`, `stem`, `suffix`, `bytes` and `sha256`.",
    )
    new_only: bool = Field(
        default=False,
        description="Take only files whose content no earlier slot of the job's `schedule` has taken.",
    )
    min_age: Duration = Field(
        default=0.0,
        description="With `new_only`: leave files that were written to or moved in the last so much to the next slot.",
    )
    key: ColumnName | None = Field(
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

    @model_validator(mode="before")
    @classmethod
    def _files_are_named_by_their_path(cls, data: Any) -> Any:
        names_none = isinstance(data, dict) and data.get("files") is not None and data.get("key") is None
        return {**data, "key": "file"} if names_none else data

    @model_validator(mode="after")
    def _one_input(self) -> InputSpec:
        if (self.path is None) == (self.files is None):
            raise ValueError("give `path` or `files`, one of them")
        if self.new_only and self.path == "-":
            raise ValueError("`new_only` needs files, and `-` is none")
        if self.new_only and self.limit is not None:
            raise ValueError("a slot takes all files that are new: without `limit`, or their other rows are never read")
        if self.min_age and not self.new_only:
            raise ValueError("`min_age` needs `new_only: true`: what is younger is left to the next slot")
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
        default=200,
        ge=1,
        le=1_000_000_000,
        description="Rows under way at once (submitted interactions that are polled).",
    )
    posts: int = Field(
        default=16, ge=1, description="Open POSTs at once. What one crash can leave ambiguous is at most this many."
    )
    max_cost: float | None = Field(
        default=None,
        gt=0,
        description="US dollars that the run may cost. What a request may cost at most is set aside before it is sent; "
        "when the next one does not fit, nothing more is sent.",
    )
    prices: str | None = Field(
        default=None,
        description="TOML file of your own prices for `max_cost`, in the form of `batchrun/prices/prices.toml`. "
        "Default: those that come with batchrun.",
    )


class PollSpec(Strict):
    """How answers are fetched: polled at ages at which earlier rows have got theirs, once a few have."""

    first: Duration = Field(
        default=2.0,
        description="Least wait before the first poll of an interaction, and the wait until answers show how long "
        "they take.",
    )
    growth: float = Field(
        default=1.5,
        ge=1,
        description="Factor from one wait to the next, until answers show how long they take, and for those that take "
        "longer than any did.",
    )
    ceiling: Duration = Field(
        default=30.0,
        description="Longest wait between two polls. Before the first it may be longer where nearly all answers took "
        "longer.",
    )
    deadline: Duration = Field(
        default=3600.0,
        description="A row that has no answer this long after its submission is cancelled and fails as `timed_out`.",
    )
    rpm: float | None = Field(default=3000, gt=0, description="Polls a minute, all rows together.")
    retention: Duration = Field(
        default=55 * 86400.0,
        gt=0,
        description="How long the service keeps answers: 55d for paid projects unless you set less there, 1d for free "
        "ones. You are warned when half and nine tenths of it are over; after it, what is not found has `expired`.",
    )


class AmbiguousSpec(Strict):
    """What to do with a POST of which nobody can tell whether it was billed."""

    model: Literal["hold", "resubmit"] = Field(default="resubmit", description="For model interactions.")
    agent: Literal["hold", "resubmit"] = Field(default="hold", description="For agent interactions (dollars each).")
    max_resubmits: int | None = Field(
        default=None,
        ge=0,
        description="Resubmissions in a run before rows are held. Default: 1 % of the rows, at least 3.",
    )

    wait: Duration = Field(
        default=600.0,
        description="With `run --webhook`: how long one waits for an event that names it, before it is held or sent "
        "again.",
    )

    def allowance(self, rows: int) -> int:
        """Resubmissions that a run of so many rows may make in all."""
        return max(3, -(-rows // 100)) if self.max_resubmits is None else self.max_resubmits


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
    columns: list[ColumnName] = Field(default_factory=list, description="Input columns copied into the results.")
    stage: str | None = Field(
        default=None,
        description="The stage whose rows `results.parquet` has. Default: the last one that no other needs.",
    )
    jsonl: bool = Field(default=False, description="Also write `results.jsonl`.")
    thoughts: bool = Field(default=False, description="A column `thoughts` with the summaries of the model's thoughts.")
    steps: bool = Field(default=False, description="Also write `steps.jsonl`: every step of every interaction.")
    citations: bool | None = Field(
        default=None,
        description="Also write `citations.parquet`: a record for each citation. Default: where the job has tools that "
        "cite.",
    )


class JobSpec(Strict):
    """A job file. Paths are relative to it. The API key comes from the environment, never from here."""

    name: str = Field(pattern=NAME_PATTERN, description="Names the job and its run directory.")
    input: InputSpec = Field(description="Where the rows come from.")
    request: RequestSpec = Field(default_factory=RequestSpec, description="The request made of each row.")
    stages: dict[StageName, StageSpec] | None = Field(
        default=None,
        min_length=1,
        description="Stages that rows flow through, by name (letters, digits and _). What their requests leave out is "
        "taken from `request`.",
    )
    limits: LimitsSpec = Field(default_factory=LimitsSpec, description="How fast, and how much at once.")
    poll: PollSpec = Field(default_factory=PollSpec, description="How answers are fetched.")
    retry: RetrySpec = Field(default_factory=RetrySpec, description="What is tried again.")
    output: OutputSpec = Field(default_factory=OutputSpec, description="What is written.")
    alerts: AlertsSpec | None = Field(default=None, description="When to speak up, and to whom.")
    schedule: ScheduleSpec | None = Field(default=None, description="When the job is to run by itself.")

    @model_validator(mode="after")
    def _known_stage(self) -> JobSpec:
        names = [name.casefold() for name in self.stages or ()]
        if twice := next((name for name in self.stages or () if names.count(name.casefold()) > 1), None):
            raise ValueError(f"stages: two are called {twice!r} but for the case of letters, which some disks ignore")
        if self.output.stage is not None and self.output.stage not in (self.stages or ()):
            raise ValueError(f"output.stage: there is no stage {self.output.stage!r}")
        if self.input.new_only and self.schedule is None:
            raise ValueError("input.new_only: what earlier slots have taken is known only with a `schedule`")
        return self
