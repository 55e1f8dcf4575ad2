"""The `schedule` section of a job file: when a job is to run by itself, as a pydantic model."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field

from batchrun.spec.fields import Duration, Strict

#: The dates that a longer one leads to may not exist.
_LONGEST_JITTER = 30 * 86_400.0


def _cron(value: str) -> str:
    try:
        if len(value.split()) > 5:
            raise CronSimError("Seconds cannot be told")
        CronSim(value, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        said = "five fields: minute, hour, day of the month, month, day of the week, such as `0 3 * * 1-5`"
        raise ValueError(f"{value!r:.60} is no cron expression ({error}): {said}") from None
    return " ".join(value.split())


def _jitter(value: float) -> float:
    if value > _LONGEST_JITTER:
        raise ValueError("at most 30 days are expected")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{value!r:.60} is no time zone: write a name such as Europe/Berlin, or UTC") from None
    return value


class ScheduleSpec(Strict):
    """When the job is to run by itself. What runs it is `batchrun schedule run`, or cron, systemd or Kubernetes with
    what `batchrun schedule emit` writes."""

    cron: Annotated[str, AfterValidator(_cron)] = Field(
        description="Cron expression of five fields, such as `0 3 * * 1-5`: 3 o'clock on working days."
    )
    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        default="UTC", description="Time zone of the expression, such as `Europe/Berlin`."
    )
    catch_up: Literal["none", "latest", "all"] = Field(
        default="latest",
        description="Slots that were missed (the machine was off): run none of them, the latest, or all in turn.",
    )
    overlap: Literal["skip", "queue", "replace"] = Field(
        default="skip",
        description="A slot whose predecessor still runs: `skip` it, `queue` it, or `replace` the one that runs, which "
        "is stopped as by Ctrl-C: what it submitted goes on, and is fetched later.",
    )
    jitter: Annotated[Duration, AfterValidator(_jitter)] = Field(
        default=0.0, description="Each slot begins up to so much later, by an amount that is the same every time."
    )
