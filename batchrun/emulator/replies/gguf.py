"""A model file that answers: loaded into this process by `xllamacpp`, which brings llama.cpp and its server along."""

from __future__ import annotations

import os
import re
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from batchrun.emulator.outcome import Outcome
from batchrun.emulator.prompts import Prompt
from batchrun.emulator.replies.model_server import ModelServer, asked_or_made
from batchrun.emulator.rules.request import Order
from batchrun.errors import SpecError

_PACKAGE = "xllamacpp"
#: One-page documents with a schema and their answers fit many times over; memory grows with it.
_CONTEXT_TOKENS = 16_384
_SILENT, _ERRORS = 0, 1
_ERROR_LINE = re.compile(r" E +\w+: (?:error loading model: )?(.+)")
_STANDARD_ERROR = 2


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
        return asked_or_made(made())

    def opened(self) -> ModelServer:
        """Load the model; takes seconds, and Ctrl-C waits for them. Raises SpecError if it cannot be loaded."""
        library = self._library()
        with _signals_waiting():
            try:
                engine = self._started(library, _SILENT)
            except (RuntimeError, ValueError) as error:
                reason = self._complaint(library) or str(error)
                hint = f"give a whole model of a kind that {_PACKAGE} knows"
                raise SpecError(f"--replies gguf:{self.path} cannot be loaded ({reason}); {hint}") from error
        return ModelServer(f"{engine.listening_address}/v1", self.path.stem, 1, text_only=True, engine=engine)

    def _library(self) -> Any:
        try:
            return import_module(_PACKAGE)
        except Exception as error:  # native code that does not fit the machine or the process: anything can be raised
            raise SpecError(f"--replies gguf:{self.path}: {_PACKAGE} cannot be used here ({error})") from error

    def _started(self, library: Any, verbosity: int) -> Any:
        engine = library.Server(self.parameters(library.CommonParams(), verbosity))
        engine.handle_metrics()  # answered by its loop: one that is dropped before its loop runs waits for ever
        return engine

    def _complaint(self, library: Any) -> str:
        """What the package says when it loads the file once more, aloud: its exceptions do not tell."""
        with tempfile.TemporaryFile("w+", errors="replace") as heard:
            with _standard_error_to(heard.fileno()), suppress(RuntimeError, ValueError):
                self._started(library, _ERRORS)
            heard.seek(0)
            errors = [_ERROR_LINE.search(line) for line in heard]
        return next((found[1] for found in errors if found), "")

    def parameters(self, parameters: Any, verbosity: int = _SILENT) -> Any:
        """The package's parameters for this file: one request at a time, on a free port of this machine."""
        parameters.model.path = str(self.path)
        parameters.n_ctx = _CONTEXT_TOKENS
        parameters.n_parallel = 1
        parameters.cache_ram_mib = 0  # by default it keeps what it worked out for every prompt, up to 8 GiB
        parameters.port = 0
        parameters.ui = False
        parameters.endpoint_metrics = True
        parameters.verbosity = verbosity
        return parameters


@contextmanager
def _signals_waiting() -> Iterator[None]:
    """Ctrl-C and SIGTERM take effect at the end, when what is being started can be ended."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _standard_error_to(descriptor: int) -> Iterator[None]:
    """What native code writes to standard error goes elsewhere."""
    kept = os.dup(_STANDARD_ERROR)
    os.dup2(descriptor, _STANDARD_ERROR)
    try:
        yield
    finally:
        os.dup2(kept, _STANDARD_ERROR)
        os.close(kept)
