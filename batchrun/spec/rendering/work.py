"""How much one rendering may do, counted and not timed: a row that is too much is so on every machine. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jinja2.exceptions import TemplateRuntimeError

#: About so many characters may be read and written in all; it takes a few seconds, and at most as many bytes.
MOST_WORK = 256 * 1024 * 1024
#: What a step of Python costs, in characters; the call of a function; and an item that is only looked at.
STEP, CALL, ITEM = 64, 1024, 32

_left: ContextVar[list[int] | None] = ContextVar("left", default=None)


@contextmanager
def bounded() -> Iterator[None]:
    """Inside, work is counted from nothing."""
    token = _left.set([MOST_WORK])
    try:
        yield
    finally:
        _left.reset(token)


def spend(characters: int) -> None:
    """Count work that is about to be done. Raises TemplateRuntimeError if it would be too much."""
    left = _left.get()
    if left is not None:
        left[0] -= characters
        if left[0] < 0:
            raise TemplateRuntimeError("the template would do too much work for this row")


def size(value: Any) -> int:
    """Characters or items of a value, 1 for one that has none."""
    return len(value) if isinstance(value, str | bytes | list | tuple | dict) else 1


def walk(value: Any) -> int:
    """Count and give the size of all that is in a value: a short template can nest more than any memory holds."""
    total, waiting = size(value), [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list | tuple | dict):
            spend(ITEM * len(each))
            inside = [*each, *each.values()] if isinstance(each, dict) else each
            total += len(each) + sum(len(one) for one in inside if isinstance(one, str))
            waiting += [one for one in inside if isinstance(one, list | tuple | dict)]
    spend(total)
    return total
