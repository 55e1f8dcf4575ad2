"""Model servers that answer in the place of the service: one at an address, or our own on a GGUF file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from batchrun.emulator.outcome import Outcome
from batchrun.emulator.prompts import Prompt
from batchrun.emulator.rules.request import Order
from batchrun.errors import SpecError

#: The end of an interaction that a model server is asked for; compare with `is`.
ASKED = Outcome("in_progress", [], None)
_PACKAGE = "xllamacpp"
#: One-page documents with a schema and their answers fit many times over; memory grows with it.
_CONTEXT_TOKENS = 16_384


def _asked_or_made(outcome: Outcome) -> Outcome:
    """A model server makes text; pictures, sound and video stay made up. What the service would refuse was refused."""
    blocks = [block for step in outcome.steps for block in step.get("content") or () if step["type"] == "model_output"]
    return ASKED if all(block["type"] == "text" for block in blocks) else outcome


@dataclass(frozen=True, slots=True)
class ModelServer:
    """An OpenAI-compatible server. `url` ends before `/chat/completions`; `at_once` requests are open at most.

    Without `model` it is asked for the model that the job names. `engine` is kept alive as long as the server is used.
    """

    url: str
    model: str | None = None
    at_once: int = 4
    engine: Any = field(default=None, compare=False, repr=False)

    def __call__(self, order: Order, prompt: Prompt, made: Callable[[], Outcome]) -> Outcome:
        return _asked_or_made(made())

    def opened(self) -> ModelServer:
        return self


@dataclass(frozen=True, slots=True)
class GgufFile:
    """A model file that a server in this process loads when the emulator starts."""

    path: Path

    @classmethod
    def checked(cls, path: Path) -> GgufFile:
        """Raises SpecError if the file or the package that reads it is missing."""
        if not path.is_file():
            raise SpecError(f"--replies gguf:{path}: there is no such file; give the path of a GGUF model")
        if find_spec(_PACKAGE) is None:
            raise SpecError(f"--replies gguf:{path} needs {_PACKAGE}: run `pip install 'batchrun[local]'`")
        return cls(path)

    def __call__(self, order: Order, prompt: Prompt, made: Callable[[], Outcome]) -> Outcome:
        return _asked_or_made(made())

    def opened(self) -> ModelServer:
        """Load the model; takes seconds. Raises SpecError if it cannot be loaded."""
        library = import_module(_PACKAGE)
        try:
            engine = library.Server(self.parameters(library.CommonParams()))
        except (RuntimeError, ValueError) as error:
            raise SpecError(f"--replies gguf:{self.path}: {_PACKAGE} cannot load it ({error})") from error
        return ModelServer(f"{engine.listening_address}/v1", self.path.stem, 1, engine)

    def parameters(self, parameters: Any) -> Any:
        """The package's parameters for this file: one request at a time, on a free port of this machine."""
        parameters.model.path = str(self.path)
        parameters.n_ctx = _CONTEXT_TOKENS
        parameters.n_parallel = 1
        parameters.port = 0
        parameters.verbosity = 0
        return parameters
