"""One function as a model sees it, and calls of it with arguments that fit."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from batchrun.errors import SpecError
from batchrun.spec.canonical import canonical_json
from batchrun.spec.functions.docstrings import documented
from batchrun.spec.functions.parameters import Parameter, checked_name, parameters_of, what_is_hinted
from batchrun.spec.modules import told

_PROBLEMS_SHOWN = 5


class ArgumentProblem(ValueError):
    """Arguments that do not fit the function; the message is for the model."""


class Function:
    """A function of the user's; `declaration` is its tool in the API. `where` names it in errors.

    Raises SpecError for a function that cannot be declared.
    """

    def __init__(self, target: Callable[..., object], name: str, where: str) -> None:
        self.name = checked_name(name, where)
        self.is_async = inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(type(target).__call__)
        self._target = target
        self._signature = _signature(target, where)
        docs = documented(inspect.getdoc(what_is_hinted(target)) or "")
        self._parameters = parameters_of(target, self._signature, docs.parameters, where)
        self.declaration = _encodable(_declaration(name, docs.summary, self._parameters), where)

    def bind(self, arguments: object) -> Callable[[], object]:
        """The call, ready to be made, with the arguments as the hints want them. Raises ArgumentProblem.

        What validators of the user's own types raise is passed on.
        """
        given = {} if arguments is None else arguments
        if not isinstance(given, dict):
            raise ArgumentProblem("the arguments must be an object")
        values: dict[str, Any] = {}
        problems = [*self._misnamed(given), *self._missing(given), *self._misfits(given, values)]
        if problems:
            raise ArgumentProblem("; ".join(problems[:_PROBLEMS_SHOWN]))
        bound = self._signature.bind_partial()
        bound.arguments.update(values)
        bound.apply_defaults()
        return functools.partial(self._target, *bound.args, **bound.kwargs)

    def _misnamed(self, given: Mapping[str, Any]) -> Iterator[str]:
        known = ", ".join(self._parameters) or "none"
        unknown = [name for name in given if name not in self._parameters]
        return (f"{name[:80]!r} is no parameter; there are: {known}" for name in unknown)

    def _missing(self, given: Mapping[str, Any]) -> Iterator[str]:
        return (
            f"{name}: missing" for name, wanted in self._parameters.items() if wanted.required and name not in given
        )

    def _misfits(self, given: Mapping[str, Any], values: dict[str, Any]) -> Iterator[str]:
        """What does not fit its parameter; what does goes into `values`."""
        for name in (name for name in self._parameters if name in given):
            try:
                values[name] = self._parameters[name].validated(given[name])
            except ValidationError as error:
                yield from _messages(name, error)


def _declaration(name: str, summary: str, parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    tool: dict[str, Any] = {"type": "function", "name": name}
    if summary:
        tool["description"] = summary
    if parameters:  # the service has refused objects without properties, and still refuses an empty `required`
        properties = {name: parameter.schema for name, parameter in parameters.items()}
        required = [name for name, parameter in parameters.items() if parameter.required]
        tool["parameters"] = {
            "type": "object",
            "properties": properties,
            **({"required": required} if required else {}),
        }
    return tool


def _encodable(tool: dict[str, Any], where: str) -> dict[str, Any]:
    try:
        canonical_json(tool)
    except (ValueError, TypeError) as error:  # an infinite bound, half a surrogate pair in a docstring
        raise SpecError(f"{where}: its declaration cannot be sent as JSON: {told(error)}") from None
    return tool


def _signature(target: Callable[..., object], where: str) -> inspect.Signature:
    try:
        return inspect.signature(target)
    except (TypeError, ValueError):
        raise SpecError(f"{where} does not tell its parameters; wrap it in a function with type hints") from None


def _messages(name: str, error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join(str(step) for step in (name, *problem["loc"]))
        yield f"{place}: {problem['msg']}"
