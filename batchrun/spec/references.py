"""Where an output schema comes from: written inline, a file beside the job, or a pydantic model."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeGuard

from pydantic import BaseModel

from batchrun.errors import SpecError
from batchrun.spec.judging.schemas import OutputSchema
from batchrun.spec.modules import imported, searching_first, told
from batchrun.spec.reading.documents import read_document


def resolve_schema(reference: dict[str, Any] | str, base: Path) -> OutputSchema:
    """The compiled schema that `response_format.schema` means. Raises SpecError."""
    if isinstance(reference, dict):
        return OutputSchema(reference)
    module, colon, name = reference.rpartition(":")
    if colon and module and name.isidentifier() and not Path(base, reference).exists():
        return _of_model(module, name, base)
    return _of_file(Path(base, reference))


def _of_file(path: Path) -> OutputSchema:
    if path.suffix.lower() not in (".json", ".yaml", ".yml"):
        raise SpecError(f"{str(path)!r} is no schema file: name a .json or .yaml file, or a model as module:Class")
    data = read_document(path).data
    if not isinstance(data, dict):
        raise SpecError(f"{path}: a JSON Schema is an object, and this is {type(data).__name__}")
    try:
        return OutputSchema(data)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None


def _of_model(module_name: str, name: str, base: Path) -> OutputSchema:
    with searching_first(base, module_name.partition(".")[0]):
        module = imported(module_name, base)
        model = getattr(module, name, None)
        if not _is_model(model):
            close = get_close_matches(name, [other for other, value in vars(module).items() if _is_model(value)], 1)
            lacks = "it is another kind of thing" if hasattr(module, name) else "the module has no such class"
            hint = f"did you mean {close[0]}?" if close else lacks
            raise SpecError(f"{module_name}:{name} is not a pydantic model; {hint}")
        try:
            schema = model.model_json_schema()
        except Exception as error:  # a model can hold anything, JSON Schema cannot
            raise SpecError(f"{module_name}:{name} has no JSON Schema: {told(error)}") from None
    return OutputSchema(schema, tuple(_validators(model)))


def _validators(model: type[BaseModel]) -> Iterator[str]:
    """The names of a model's own validators, which only run when it is made of an answer."""
    found = model.__pydantic_decorators__
    for decorators in (found.validators, found.field_validators, found.root_validators, found.model_validators):
        yield from decorators


def _is_model(value: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(value, type) and issubclass(value, BaseModel) and value is not BaseModel
