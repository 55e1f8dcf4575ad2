"""The vendor's own clients cannot tell the emulator from the service: each runs every section of the quickstart.

The newest 2.x Python client and the JavaScript client are installed by this file, once, into `.venv-*` directories.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulator.media_files import picture
from tests.emulator.sdk import sections
from tests.processes import emulator

ROOT = Path(__file__).parents[2]
SDK = Path(__file__).parent / "sdk"
#: An interaction with this label never ends by itself.
STUCK = "stuck@slow=yes"
_NETWORK = re.compile(r"NewConnectionError|ConnectTimeout|ReadTimeout|Temporary failure|Network is unreachable")
Problems = dict[str, str | None]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of an emulator, and a picture."""
    where = tmp_path_factory.mktemp("vendor")
    path = where / "picture.png"
    path.write_bytes(picture(64, 48))
    with emulator(where, "--latency", "50ms", "--faults", STUCK) as url:
        yield url, path


def problems(command: list[str], served: tuple[str, Path], *more: str) -> Problems:
    """What went wrong in each section."""
    url, path = served
    done = subprocess.run([*command, url, str(path), *more], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["section"]: line["problem"] for line in lines}


def cached(name: str) -> tuple[Path, bool]:
    """A directory that git does not see, and whether it was filled before."""
    where = ROOT / f".venv-{name}"
    where.mkdir(exist_ok=True)
    (where / ".gitignore").write_text("*\n")
    return where, (where / "complete").exists()


@pytest.fixture(scope="module")
def newest(served: tuple[str, Path]) -> Problems:
    return problems([sys.executable, "-W", "error", str(SDK / "quickstart.py")], served)


@pytest.fixture(scope="module")
def older(served: tuple[str, Path]) -> Problems:
    where, complete = cached("genai2")
    python = where / "bin" / "python"
    if not complete:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(where)], check=True)
        cached("genai2")  # the directory was cleared
        install = [str(python), "-m", "pip", "install", "--quiet", "google-genai>=2,<3"]
        done = subprocess.run(install, capture_output=True, text=True)
        if _NETWORK.search(done.stderr):
            pytest.skip("the package index cannot be reached, so google-genai 2.x was not tried")
        assert done.returncode == 0, done.stderr
        (where / "complete").touch()
    return problems([str(python), "-W", "error", str(SDK / "quickstart.py")], served)


@pytest.fixture(scope="module")
def javascript(served: tuple[str, Path]) -> Problems:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("there is no node, so the JavaScript client was not tried")
    where, complete = cached("genai-js")
    if not complete:
        install = [npm, "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(where), "@google/genai@3"]
        done = subprocess.run(install, capture_output=True, text=True, cwd=where)
        assert done.returncode == 0, done.stderr
        (where / "complete").touch()
    module = where / "node_modules/@google/genai/dist/node/index.mjs"
    return problems([node, str(SDK / "quickstart.mjs")], served, str(module))


@pytest.mark.parametrize("section", sections("quickstart.py"))
def test_the_newest_python_client_runs_the_quickstart(newest: Problems, section: str) -> None:
    assert newest[section] is None


def test_a_step_that_the_client_does_not_know_would_be_noticed(tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    said = {"type": "model_output", "content": [{"type": "text", "text": "Eight."}]}
    script.write_text(json.dumps({"steps": [{"type": "divination"}, said]}))
    with emulator(tmp_path, "--latency", "0s", "--replies", f"script:{script}") as url:
        found = problems([sys.executable, str(SDK / "quickstart.py")], (url, script), "text")
    assert "divination" in (found["text"] or "")


@pytest.mark.parametrize("section", sections("quickstart.py"))
def test_the_2_x_python_client_runs_the_quickstart(older: Problems, section: str) -> None:
    assert older[section] is None


@pytest.mark.parametrize("section", sections("quickstart.mjs"))
def test_the_javascript_client_runs_the_quickstart(javascript: Problems, section: str) -> None:
    assert javascript[section] is None
