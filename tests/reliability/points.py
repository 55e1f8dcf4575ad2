"""Points at which a process dies by its own SIGKILL. They are set from outside: functions are wrapped by name."""

from __future__ import annotations

import inspect
import os
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

When = Literal["before", "after", "amid"]
SQL = "sql:"


@dataclass(frozen=True, slots=True)
class Point:
    """A moment in a program: before or after a call of `target` (`module:qualified.name`), or amid what it yields.

    `within` is the qualified name of the caller, if only its calls count; `given` is text that the call's arguments
    show. A target `sql:…` is a statement that begins so; after it is before its transaction's COMMIT.
    """

    target: str
    when: When
    within: str = ""
    given: str = ""

    def meant(self, caller: str, arguments: object) -> bool:
        return self.within in ("", caller) and (not self.given or self.given in repr(arguments))


def die_at(point: Point, occurrence: int) -> None:
    """From now on this process kills itself at the point's n-th occurrence, counted from 1."""
    seen = Counter[Point]()

    def strike(at: Point) -> None:
        seen[at] += 1
        if seen[at] == occurrence:
            os.kill(os.getpid(), signal.SIGKILL)

    watch([point], strike)


def count_at(points: Sequence[Point], log: Path) -> None:
    """From now on a line goes to `log` at every occurrence of a point: its number in `points`."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    watch(points, lambda at: os.write(descriptor, f"{points.index(at)}\n".encode()))


def watch(points: Sequence[Point], strike: Callable[[Point], object]) -> None:
    """Call `strike` at every occurrence of a point in this process."""
    statements = [point for point in points if point.target.startswith(SQL)]
    if statements:
        _watch_statements(statements, strike)
    for target in dict.fromkeys(point.target for point in points if point not in statements):
        _watch_calls(target, [point for point in points if point.target == target], strike)


def _watch_calls(target: str, points: Sequence[Point], strike: Callable[[Point], object]) -> None:
    module, _, path = target.partition(":")
    owner: Any = import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, name, _wrapped(getattr(owner, name), points, strike))


def _wrapped(call: Callable[..., Any], points: Sequence[Point], strike: Callable[[Point], object]) -> Any:
    def now(when: When, caller: str, arguments: object) -> None:
        for point in points:
            if point.when == when and point.meant(caller, arguments):
                strike(point)

    async def awaited(result: Any, caller: str, arguments: object) -> Any:
        found = await result
        now("after", caller, arguments)
        return found

    async def each_awaited(items: AsyncIterator[Any], caller: str, arguments: object) -> AsyncIterator[Any]:
        async for item in items:
            now("amid", caller, arguments)
            yield item

    def each(items: Iterator[Any], caller: str, arguments: object) -> Iterator[Any]:
        for item in items:
            now("amid", caller, arguments)
            yield item

    @wraps(call)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        caller, shown = sys._getframe(1).f_code.co_qualname, (arguments, named)
        now("before", caller, shown)
        result = call(*arguments, **named)
        if inspect.iscoroutinefunction(call):
            return awaited(result, caller, shown)
        if inspect.isasyncgenfunction(call):
            return each_awaited(result, caller, shown)
        if inspect.isgeneratorfunction(call):
            return each(result, caller, shown)
        now("after", caller, shown)
        return result

    return wrapper


def _watch_statements(points: Sequence[Point], strike: Callable[[Point], object]) -> None:
    connect = sqlite3.connect

    def watched(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **named)
        begun = set[Point]()

        def saw(statement: str) -> None:
            for point in points:
                if statement.lstrip().startswith(point.target.removeprefix(SQL)):
                    if point.when == "before":
                        strike(point)
                    begun.add(point)
            if statement.startswith("COMMIT"):
                for point in begun:
                    if point.when == "after":
                        strike(point)
            if statement.startswith(("COMMIT", "ROLLBACK")):
                begun.clear()

        connection.set_trace_callback(saw)
        return connection

    sqlite3.connect = watched  # type: ignore[assignment]
