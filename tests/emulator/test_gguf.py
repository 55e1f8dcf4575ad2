"""`gguf:PATH` needs a package that is optional; without it, or without a good file, it says what to do."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from batchrun.emulator import Emulator, EmulatorSettings, load_replies, serve
from batchrun.emulator.replies import gguf
from batchrun.emulator.replies.gguf import GgufFile
from batchrun.emulator.replies.model_server import ModelServer
from batchrun.errors import SpecError


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "small-model.gguf"
    path.write_bytes(b"GGUF")
    return path


def library(answer: Any) -> Any:
    """Stands for the package: its parameters can be set, its server is what `answer` makes."""
    return SimpleNamespace(CommonParams=lambda: SimpleNamespace(model=SimpleNamespace(path="")), Server=answer)


def test_without_the_package_it_says_what_to_install(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "find_spec", lambda name: None)
    with pytest.raises(SpecError, match=r"pip install 'batchrun\[local\]'"):
        load_replies(f"gguf:{weights}")


def test_with_the_package_the_file_is_taken(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "find_spec", lambda name: object())
    assert load_replies(f"gguf:{weights}") == GgufFile(weights)


def test_the_server_gets_one_file_and_one_request_at_a_time(weights: Path) -> None:
    parameters = GgufFile(weights).parameters(library(None).CommonParams())
    assert (parameters.model.path, parameters.n_parallel, parameters.port) == (str(weights), 1, 0)


def test_the_server_keeps_no_prompts_in_memory(weights: Path) -> None:
    assert GgufFile(weights).parameters(library(None).CommonParams()).cache_ram_mib == 0


def test_its_address_is_where_requests_go(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = SimpleNamespace(listening_address="http://127.0.0.1:4711", handle_metrics=str)
    monkeypatch.setattr(gguf, "import_module", lambda name: library(lambda parameters: engine))
    assert GgufFile(weights).opened() == ModelServer("http://127.0.0.1:4711/v1", "small-model", 1, text_only=True)


def test_a_package_that_does_not_fit_this_machine_is_a_spec_error(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(name: str) -> Any:
        raise ImportError("GLIBC_2.99 not found")

    monkeypatch.setattr(gguf, "import_module", breaks)
    with pytest.raises(SpecError, match="xllamacpp cannot be used here"):
        Emulator(EmulatorSettings(replies=GgufFile(weights)))


def test_a_file_that_cannot_be_loaded_is_a_spec_error(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(parameters: Any) -> Any:
        raise RuntimeError("Failed to init server")

    monkeypatch.setattr(gguf, "import_module", lambda name: library(refuses))
    with pytest.raises(SpecError, match="cannot be loaded"):
        Emulator(EmulatorSettings(replies=GgufFile(weights)))


def test_the_port_is_taken_before_the_model_is_loaded(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def loads(parameters: Any) -> Any:
        with pytest.raises(SpecError, match="choose another port"):
            serve(EmulatorSettings(), port=port)
        raise RuntimeError("the second one was refused")

    monkeypatch.setattr(gguf, "import_module", lambda name: library(loads))
    with pytest.raises(SpecError, match="the second one was refused"):
        serve(EmulatorSettings(replies=GgufFile(weights)), port=port)
