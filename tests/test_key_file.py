"""The API key may be in a file of its own, so that it is in no environment and in no crontab, unit or manifest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchrun.environment import keys
from batchrun.errors import CredentialError
from batchrun.runs.service import api_key
from tests.processes import finish, start, write_job

SERVICE = "https://service.invalid"
KEY = "of-no-worth-0123456789"


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "gemini.key"
    path.write_text(f"{KEY}\n")
    monkeypatch.setenv("GEMINI_API_KEY_FILE", str(path))
    return path


def test_the_key_is_what_the_file_holds_without_its_last_newline(file: Path) -> None:
    assert api_key(SERVICE).reveal() == KEY


def test_a_key_in_the_environment_comes_before_one_in_a_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "another-of-no-worth")
    assert list(keys()) == [("GEMINI_API_KEY", "another-of-no-worth")]


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file"), (b" \n", "it is empty"), (b"k" * 5000, "it is too large for a key")]
)
def test_a_file_without_a_key_is_told_with_its_name(content: bytes | None, said: str, file: Path) -> None:
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(CredentialError, match=f"GEMINI_API_KEY_FILE names {file}: {said}"):
        api_key(SERVICE)


def test_a_file_that_is_no_text_is_a_key_that_cannot_be_sent(file: Path) -> None:
    file.write_bytes(b"\xff\x00key")
    with pytest.raises(CredentialError, match="GEMINI_API_KEY_FILE holds characters that no API key has"):
        api_key(SERVICE)


def test_children_of_a_run_are_told_neither_the_key_nor_where_it_is(file: Path, tmp_path: Path) -> None:
    request = {"model": "gemini-3.5-flash", "input": "{{ word }}", "functions": "shop:look"}
    write_job(tmp_path, 1, request=request)
    (tmp_path / "shop.py").write_text(
        "import subprocess\n"
        "open('seen', 'w').write(subprocess.run(['env'], capture_output=True, text=True).stdout)\n"
        "def look(what: str) -> str:\n"
        "    '''Looks.'''\n"
        "    return what\n"
    )
    code, _, said = finish(start(tmp_path, "run", "job.json", "--emulator", env={**os.environ}))
    assert code == 0, said
    seen = (tmp_path / "seen").read_text()
    assert "PATH=" in seen
    assert "API_KEY" not in seen
