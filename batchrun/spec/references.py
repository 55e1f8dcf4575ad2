"""Where an output schema comes from: written inline, a file beside the job, or a pydantic model."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from batchrun.errors import SpecError
from batchrun.spec.documents import read_document
from batchrun.spec.schemas import OutputSchema


def resolve_schema(reference: dict[str, Any] | str, base: Path) -> OutputSchema:
    """The compiled schema that `response_format.schema` means. Raises SpecError."""
    if isinstance(reference, dict):
        return OutputSchema(reference)
    module, colon, name = reference.rpartition(":")
    if colon and module and name.isidentifier() and not Path(base, reference).exists():
        return OutputSchema(_of_model(module, name, base))
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


def _of_model(module_name: str, name: str, base: Path) -> dict[str, Any]:
    with _searching_first(base, module_name.partition(".")[0]):
        model = getattr(_imported(module_name), name, None)
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise SpecError(f"{module_name}:{name} is not a pydantic model; the module has no such class")
        try:
            return model.model_json_schema()
        except Exception as error:  # a model can hold anything, JSON Schema cannot
            raise SpecError(f"{module_name}:{name} has no JSON Schema: {_told(error)}") from None


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # the user's module runs here, and may raise anything
        raise SpecError(f"module {name!r} cannot be imported: {_told(error)}") from None


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}"


@contextmanager
def _searching_first(base: Path, root: str) -> Iterator[None]:
    """Prefer modules beside the job file, and leave the interpreter's import state as it was."""
    path, no_bytecode = sys.path.copy(), sys.dont_write_bytecode
    beside = Path(base, f"{root}.py").exists() or Path(base, root).is_dir()
    shadowed = _taken_out(root) if beside else {}
    sys.path.insert(0, str(base))
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        sys.dont_write_bytecode = no_bytecode
        if beside:
            _taken_out(root)
            sys.modules.update(shadowed)


def _taken_out(root: str) -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name == root or name.startswith(root + ".")]
    return {name: sys.modules.pop(name) for name in names}
