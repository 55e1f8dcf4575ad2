"""Work beside the loop that nobody waits for at the end."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from threading import Thread
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class Aside(Executor):
    """Makes each call in a thread of its own, which ends with the process whatever it does."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        done = Future[T]()
        Thread(target=_call, args=(done, lambda: fn(*args, **kwargs)), daemon=True).start()
        return done


def _call(done: Future[T], work: Callable[[], T]) -> None:
    try:
        done.set_result(work())
    except BaseException as error:
        done.set_exception(error)
