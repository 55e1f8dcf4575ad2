"""From references in the job file to the functions they mean."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from batchrun.errors import SpecError
from batchrun.spec.functions.function import Function
from batchrun.spec.modules import imported, searching_first

_REFERENCE = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*)(?::(?P<name>[^\W\d]\w*))?")


def load_functions(references: Sequence[str], base: Path) -> tuple[Function, ...]:
    """The functions that `module:name` or `module` mean, looked up beside the job file (in `base`) first.

    Raises SpecError for a module that cannot be imported, a name that is no function, a name that occurs twice, and a
    function that cannot be declared.
    """
    parts = [_parts(reference) for reference in references]
    with searching_first(base, *(module.partition(".")[0] for module, _ in parts), keep=True):
        functions = [function for module, name in parts for function in _functions(module, name, base)]
    names = [function.name for function in functions]
    if twice := [name for name in names if names.count(name) > 1]:
        raise SpecError(f"two functions are called {twice[0]!r}; the model knows a function by its name alone")
    return tuple(functions)


@dataclass(frozen=True)
class Transform:
    """A function of the user's over rows. `name` is its reference in the job file, `sha` the hash of its module."""

    name: str
    target: Callable[..., object]
    sha: str


def load_transform(reference: str, base: Path) -> Transform:
    """The function that `module:name` means, looked up as `load_functions` does. Raises SpecError."""
    module_name, name = _parts(reference)
    if name is None:
        raise SpecError(f"{reference!r} names no function: write module:function")
    with searching_first(base, module_name.partition(".")[0], keep=True):
        module = imported(module_name, base)
        target = _callable(module, name)
    if inspect.iscoroutinefunction(target):
        raise SpecError(f"{reference!r} is async, and a transform is a plain function")
    return Transform(reference, target, _source_sha(module))


def _source_sha(module: ModuleType) -> str:
    """Hex SHA-256 of a module's file; of a module without one, of its name."""
    try:
        return sha256(Path(module.__file__ or "").read_bytes()).hexdigest()
    except OSError:
        return sha256(module.__name__.encode()).hexdigest()


def _parts(reference: str) -> tuple[str, str | None]:
    match = _REFERENCE.fullmatch(reference)
    if match is None or reference.endswith(".py") or ".py:" in reference:
        message = "write module:function, or module for all functions of it, without .py and directories"
        raise SpecError(f"{reference!r} names no function: {message}")
    return match["module"], match["name"]


def _functions(module_name: str, name: str | None, base: Path) -> Iterator[Function]:
    module = imported(module_name, base)
    names = [name] if name else list(_public(module))
    if not names:
        raise SpecError(f"module {module_name!r} defines no public function")
    for found in names:
        yield Function(_callable(module, found), found, f"{module_name}:{found}")


def _public(module: ModuleType) -> Iterator[str]:
    """Functions in `__all__`, or else those that the module itself defines and whose names have no underscore first."""
    listed = getattr(module, "__all__", None)
    for name, value in vars(module).items():
        own = not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
        if inspect.isroutine(value) and (own if listed is None else name in listed):
            yield name


def _callable(module: ModuleType, name: str) -> Any:
    value = getattr(module, name, None)
    if value is None:
        close = get_close_matches(name, [*_public(module)], 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise SpecError(f"module {module.__name__!r} has no function {name!r}{hint}")
    if isinstance(value, type) or not callable(value):
        kind = "a class" if isinstance(value, type) else f"of type {type(value).__name__}"
        raise SpecError(f"{module.__name__}:{name} is no function but {kind}")
    return value
