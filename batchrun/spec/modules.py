"""Python modules of the user: found beside the job file first, and explained when they cannot be imported."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from batchrun.errors import SpecError


def imported(name: str, base: Path) -> ModuleType:
    """The module of that name. Raises SpecError with the error and, if it arose beside the job file, its line."""
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # the user's module runs here, and may raise anything
        raise SpecError(f"module {name!r} cannot be imported: {told(error)}{_place(error, base)}") from None


def told(error: BaseException) -> str:
    """The error's type and the first line of its message."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}"


@contextmanager
def searching_first(base: Path, *roots: str, keep: bool = False) -> Iterator[None]:
    """Prefer modules beside the job file for these top-level names.

    Afterwards the interpreter's import state is as it was. With `keep` the modules stay known, unless one of the same
    name was loaded from elsewhere, and what lies beside the job file can still be imported, after everything else:
    functions that are called later may import then.
    """
    path, no_bytecode = sys.path.copy(), sys.dont_write_bytecode
    beside = [root for root in roots if Path(base, f"{root}.py").exists() or Path(base, root).is_dir()]
    shadowed = _taken_out(beside)
    sys.path.insert(0, str(base))
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        sys.dont_write_bytecode = no_bytecode
        _put_back(shadowed, _taken_out(beside), keep)
        if keep and str(base) not in path:
            sys.path.append(str(base))


def _put_back(shadowed: dict[str, ModuleType], ours: dict[str, ModuleType], keep: bool) -> None:
    sys.modules.update(ours if keep else {})
    again = {name for name, module in ours.items() if keep and _file(module) == _file(shadowed.get(name))}
    sys.modules.update({name: module for name, module in shadowed.items() if name not in again})


def _file(module: ModuleType | None) -> str | None:
    return getattr(module, "__file__", None)


def _taken_out(roots: list[str]) -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name.partition(".")[0] in roots]
    return {name: sys.modules.pop(name) for name in names}


def _place(error: BaseException, base: Path) -> str:
    """The last line beside the job file that the error went through. A SyntaxError tells its own."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(base)]
    if frames:
        return f" ({Path(frames[-1].filename).relative_to(base)}, line {frames[-1].lineno})"
    if not isinstance(error, ModuleNotFoundError):
        return ""
    if "is not a package" in str(error):
        return "; what stands in a module is named with a colon, module:name"
    beside = [path.stem for path in base.glob("*.py")]
    close = get_close_matches((error.name or "").partition(".")[0], beside, 1)
    return f"; looked in {base} first{f', which has {close[0]}.py' if close else ''}"
