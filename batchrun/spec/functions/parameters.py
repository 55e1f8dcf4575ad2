"""The parameters of a function: from its type hints to JSON Schema, and values that are checked against them."""

from __future__ import annotations

import functools
import inspect
import json
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from batchrun.errors import SpecError
from batchrun.spec.functions.schemas import Undeclarable, declared
from batchrun.spec.modules import told

#: The service's references disagree about dots, dashes and 63 or 64 characters. No name in Python has the first two.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LONGEST_DEFAULT = 100
#: Up to here every whole number is a double of its own.
_EXACT = 2.0**53


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `schema` is its JSON Schema as the model gets it."""

    schema: dict[str, Any]
    required: bool
    _adapter: TypeAdapter[Any]

    def validated(self, value: object) -> Any:
        """A JSON value as the type hint wants it: "5" is no number, but 5.0 is a whole one.

        Raises pydantic's ValidationError, and whatever a validator of the user's raises.
        """
        # As JSON text, since only there a strict date is a string and a strict tuple an array.
        return self._adapter.validate_json(json.dumps(_whole(value), allow_nan=False), strict=True)


def checked_name(name: str, where: str) -> str:
    """The name, if the API takes it for a function or parameter. Raises SpecError."""
    if not _NAME.fullmatch(name):
        raise SpecError(f"{where}: {name!r} is no name for the API: at most 64 of a-z, A-Z, 0-9 and _, no digit first")
    return name


def what_is_hinted(target: Callable[..., object]) -> Callable[..., object]:
    """What holds type hints and docstring: a partial's function, an object's `__call__`."""
    while isinstance(target, functools.partial):
        target = target.func
    return target if inspect.isroutine(target) else type(target).__call__


def parameters_of(
    target: Callable[..., object], signature: inspect.Signature, said: Mapping[str, str], where: str
) -> dict[str, Parameter]:
    """Every parameter by its name, described by what is `said` about it. Raises SpecError."""
    try:
        hints = typing.get_type_hints(what_is_hinted(target), include_extras=True)
    except Exception as error:  # hints are code of the user's
        raise SpecError(f"{where}: the type hints cannot be read: {told(error)}") from None
    return {
        name: _parameter(parameter, hints, said.get(name, ""), f"{where}: parameter {name!r}")
        for name, parameter in signature.parameters.items()
    }


def _parameter(parameter: inspect.Parameter, hints: Mapping[str, Any], said: str, where: str) -> Parameter:
    if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        raise SpecError(f"{where} takes any number of values; the model needs named parameters")
    if parameter.name not in hints:
        raise SpecError(f"{where} has no type hint, so the model would guess; write for example {parameter.name}: str")
    if isinstance(parameter.default, FieldInfo):
        raise SpecError(f"{where}: write Annotated[…, Field(…)] as the hint, and the default itself after the =")
    checked_name(parameter.name, where)
    hint = hints[parameter.name]
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
        schema = declared(_completed(adapter.json_schema(), parameter, _annotated(hint) or said))
    except Undeclarable as problem:
        raise SpecError(f"{where}: {problem}") from None
    except Exception as error:  # a type can hold anything, JSON Schema cannot
        raise SpecError(f"{where} has a type that JSON Schema cannot describe: {told(error)}") from None
    return Parameter(schema, parameter.default is parameter.empty, adapter)


def _annotated(hint: Any) -> str:
    """The description in an Annotated[…, Field(description=…)]."""
    extras = getattr(hint, "__metadata__", ())
    return next((extra.description for extra in extras if isinstance(extra, FieldInfo) and extra.description), "")


def _completed(schema: dict[str, Any], parameter: inspect.Parameter, said: str) -> dict[str, Any]:
    """The schema of the type alone, with the parameter's description and default."""
    described = {**schema, "description": said} if said else schema
    return {**described, **_default(parameter.default)} if parameter.default is not parameter.empty else described


def _default(value: object) -> dict[str, Any]:
    """The default as JSON, unless it has no such form or is too long to tell."""
    try:
        plain = to_jsonable_python(value)
        return {"default": plain} if len(json.dumps(plain, allow_nan=False)) <= _LONGEST_DEFAULT else {}
    except (ValueError, TypeError):
        return {}


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT else value
