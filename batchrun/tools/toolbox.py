"""The functions a job offers to the model, ready to be called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from batchrun.spec.canonical import sha256_of
from batchrun.spec.functions import ArgumentProblem, Function
from batchrun.tools.own_loop import OwnLoop
from batchrun.tools.results import ToolResult, failed, failed_by
from batchrun.tools.running import run


class Toolbox:
    """The functions a job offers to the model.

    `declarations` are function tools as the API takes them. `fingerprint` is a short hash of them: of names,
    descriptions and parameters, not of code. Close it with `close`.
    """

    def __init__(self, functions: Sequence[Function], *, timeout: float) -> None:
        self._functions = {function.name: function for function in functions}
        self._timeout = timeout
        self._loop = OwnLoop()
        self.declarations: list[dict[str, Any]] = [function.declaration for function in functions]
        self.fingerprint = sha256_of(sorted(self.declarations, key=lambda tool: str(tool["name"])))[:16]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._functions

    async def call(self, name: str, arguments: object) -> ToolResult:
        """What a function answers. Whatever goes wrong is an answer too; only cancellation is raised.

        Arguments are checked before the function runs. A call may take `timeout` seconds. An async function is then
        cancelled; a plain one runs in a thread, which nothing can stop, so it goes on. What either still does is not
        waited for.
        """
        if name not in self:
            return failed(f"there is no function {str(name)[:80]!r}; there are: {', '.join(self._functions)}")
        function = self._functions[name]
        try:
            work = function.bind(arguments)
        except ArgumentProblem as problem:
            return failed(str(problem))
        except Exception as error:  # types of the user may have validators, which may raise anything
            return failed_by(error)
        return await run(work, self._loop, blocking=not function.is_async, timeout=self._timeout)

    def close(self) -> None:
        """End what async functions have left running. May block for some seconds."""
        self._loop.close()
