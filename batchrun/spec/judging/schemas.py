"""The JSON Schema answers must satisfy: checked once, then applied with bounded work. Pure; fetches nothing.

Patterns run on a linear-time engine (no look-around, no back-references), `format` is checked, and a `$ref` may only
point into the schema itself. What a hostile answer could make of the schema is reckoned beforehand (`workload.py`).
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import jsonschema_rs

from batchrun.errors import SpecError
from batchrun.spec.canonical import canonical_json, deeper_than, sha256_of
from batchrun.spec.judging.workload import Load, TooMuchWork, Workload

MAX_DEPTH = 100
_PROBLEMS_SHOWN = 5
_MESSAGE_LENGTH = 200
#: At some 20 ns a visit and 100 ns a byte of errors, neither takes a second.
_MOST_VISITS = 10_000_000
_MOST_EXPLAINED = 5_000_000
_UNEXPLAINED = "$: does not match the schema; to say where is too much work"


class OutputSchema:
    """A compiled JSON Schema. `sha` is the hex SHA-256 of its canonical JSON. Raises SpecError for an invalid one.

    `unheeded` are checks of the model that it was made of which no JSON Schema can say.
    """

    def __init__(self, schema: dict[str, Any], unheeded: tuple[str, ...] = ()) -> None:
        self.schema, self.unheeded = schema, unheeded
        self._validator = _compiled(schema)
        self._workload = Workload(schema)
        self.sha = sha256_of(schema)

    def problems(self, value: object) -> list[str]:
        """What is wrong with a parsed answer, at most five messages such as `$.total: "x" is not of type "number"`."""
        try:
            return self._problems(value)
        except UnicodeEncodeError:
            return ["$: half of a surrogate pair in a string"]
        except (RecursionError, MemoryError, TooMuchWork, jsonschema_rs.ReferencingError):
            return ["$: too much work to validate"]
        except (ValueError, TypeError) as error:
            return [f"$: cannot be validated: {str(error)[:_MESSAGE_LENGTH]}"]

    def _problems(self, value: object) -> list[str]:
        if deeper_than(value, MAX_DEPTH):
            return [f"$: nested more than {MAX_DEPTH} levels deep"]
        canonical_json(value)  # raises for what is no JSON
        load = self._workload.of(self.schema, value) if self._workload.grows else None
        if load is not None and load.visits > _MOST_VISITS:
            raise TooMuchWork
        if self._validator.is_valid(value):
            return []
        return self._explained(value, load)

    def _explained(self, value: object, load: Load | None) -> list[str]:
        """As much as can be told in bounded time: all problems, the first one, or that there are some."""
        try:
            load = load or self._workload.of(self.schema, value)
        except TooMuchWork:
            return [_UNEXPLAINED]
        if load.all_errors <= _MOST_EXPLAINED:
            return [_message(error) for error in islice(self._validator.iter_errors(value), _PROBLEMS_SHOWN)]
        if load.one_error > _MOST_EXPLAINED:
            return [_UNEXPLAINED]
        try:
            self._validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            return [_message(error)]
        return []


def _compiled(schema: dict[str, Any]) -> Any:
    try:
        canonical_json(schema)
        return jsonschema_rs.validator_for(
            schema, pattern_options=jsonschema_rs.RegexOptions(), validate_formats=True, offline=True
        )
    except jsonschema_rs.ValidationError as error:
        raise SpecError(f"not a usable JSON Schema: {_explained(error)}") from None
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        raise SpecError(f"not a usable JSON Schema: {str(error)[:_MESSAGE_LENGTH]}") from None


def _explained(error: jsonschema_rs.ValidationError) -> str:
    """The two mistakes that are none elsewhere are told in words of our own."""
    if "not present in a registry" in error.message:
        return "a `$ref` leads out of the schema; write what it refers to into `$defs`, and refer to that"
    if error.message.endswith('is not a "regex"'):
        return f"{_message(error)} here: patterns have no look-around and no back-references"
    return _message(error)


def _message(error: jsonschema_rs.ValidationError) -> str:
    text = error.message
    return f"{_json_path(error.instance_path)}: {text if len(text) <= _MESSAGE_LENGTH else _middle_out(text)}"


def _middle_out(text: str) -> str:
    """Both ends of a long message: it starts with the value and ends with the rule."""
    half = (_MESSAGE_LENGTH - 3) // 2
    return f"{text[:half]} … {text[-half:]}"


def _json_path(path: list[str | int]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else _field(step) for step in path)


def _field(name: str) -> str:
    return f".{name}" if name.isidentifier() else f"[{name[:60]!r}]"
