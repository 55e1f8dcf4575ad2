"""The `alerts` section of a job file: what somebody is told of, and where, as pydantic models."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from batchrun.spec.fields import Duration, Strict

_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]+)?)\s*%")
_LOCAL = ("127.0.0.1", "localhost", "::1")
#: What stands for a variable of the environment.
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _share(value: object) -> object:
    """A part of 1 from a number or from text such as `20%`."""
    match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(match[1]) / 100 if match else value


def is_safe_url(url: str) -> bool:
    """Whether something may be told to this address: https, or http on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL))


def _url(value: str) -> str:
    if VARIABLE.search(value) or is_safe_url(value):
        return value
    raise ValueError("write https://HOST/…; a secret part may stand in the environment: ${NAME}")


Url = Annotated[str, AfterValidator(_url)]
_SHARE_SCHEMA = WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": f"^{_PERCENT.pattern}$"}]})


class TargetSpec(Strict):
    """Where alerts go: one of these. `${NAME}` in an address stands for a variable of the environment."""

    webhook: Url | None = Field(default=None, description="Address that gets each alert as JSON, by POST.")
    command: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Command and its arguments, run without a shell beside the job file, with the alert as JSON on "
        "standard input and in `BATCHRUN_ALERT_…` variables.",
    )
    ping: Url | None = Field(
        default=None,
        description="Address of a dead man's switch such as healthchecks.io: it hears when a run or a tick starts "
        "(`/start`), succeeds, and fails (`/fail`).",
    )

    @model_validator(mode="after")
    def _one(self) -> TargetSpec:
        if len([each for each in (self.webhook, self.command, self.ping) if each is not None]) != 1:
            raise ValueError("a target is one of `webhook`, `command` and `ping`")
        return self


class AlertsSpec(Strict):
    """When to speak up, and to whom. Each alert is told once when it begins and once when it ends."""

    to: list[TargetSpec] = Field(min_length=1, description="Where alerts go.")
    stuck: bool = Field(
        default=True,
        description="No row ends for three times as long as nearly all answers took, while rows are pending.",
    )
    no_row_in: Duration | None = Field(
        default=None, description="The same after a fixed time, whatever answers took, such as `6h`."
    )
    failure_rate: Annotated[float, BeforeValidator(_share), Field(gt=0, le=1), _SHARE_SCHEMA] | None = Field(
        default=None, description="This part of the rows that have ended has failed: `20%`, or 0.2."
    )
    failures_of: int = Field(default=20, ge=1, description="Rows that have to have ended before `failure_rate` counts.")
    ambiguous: int | None = Field(
        default=1, ge=1, description="So many rows are held because nobody can tell whether their POST was billed."
    )
    tokens: int | None = Field(default=None, ge=1, description="The run has used so many tokens.")
    missed_slot: bool = Field(default=True, description="A slot of the job's `schedule` was missed.")
