"""The limits that can be set while a run goes on: read from text, and checked as the job file's are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from batchrun.errors import SpecError
from batchrun.spec.model import LimitsSpec
from batchrun.spec.reading.positions import Problems, placed
from batchrun.spec.stages import StageLimitsSpec
from batchrun.spec.wording import message

OF_RUN = ("rpm", "tpm", "in_flight", "max_cost")
OF_STAGE = ("rpm", "tpm", "max_cost")


def read_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Limits by their names, such as `limits.rpm`, from `limits.rpm=300`; null takes one away. Raises SpecError."""
    return dict(_read(text) for text in texts)


def _read(text: str) -> tuple[str, Any]:
    name, equals, said = (part.strip() for part in text.partition("="))
    if not equals:
        raise SpecError(f"{text}: write it as NAME=VALUE, such as limits.rpm=300. Nothing was changed.")
    try:
        value = placed(said).data
        checked(name, value)
    except (Problems, ValueError) as error:
        why = error.found[0][2] if isinstance(error, Problems) else error
        raise SpecError(f"{text}: {why}. Nothing was changed.") from None
    return name, value


def checked(name: str, value: Any) -> tuple[str, str, float | None]:
    """The stage ("" for the run), the limit and its value. Raises ValueError, with what is expected."""
    match name.split("."):
        case ["limits", limit] if limit in OF_RUN:
            return "", limit, _value(LimitsSpec, limit, value)
        case ["stages", stage, "limits", limit] if limit in OF_STAGE:
            return stage, limit, _value(StageLimitsSpec, limit, value)
    run, stage = (", ".join(limits) for limits in (OF_RUN, OF_STAGE))
    raise ValueError(
        f"{name!r} cannot be set while a run goes on; limits.X can ({run}), and stages.NAME.limits.X ({stage})"
    )


def _value(model: type[LimitsSpec | StageLimitsSpec], limit: str, value: Any) -> float | None:
    try:
        found: float | None = getattr(model.model_validate({limit: value}), limit)
    except ValidationError as error:
        raise ValueError(message(error.errors(include_url=False)[0], ("limits", limit))) from None
    return found
