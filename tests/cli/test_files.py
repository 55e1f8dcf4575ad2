"""`batchrun files`, as a user types it, against an emulator on a socket."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.emulator.media_files import wav
from tests.processes import command, emulator, write_job


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job with two sounds that are uploaded, and a state directory of its own."""
    monkeypatch.setenv("BATCHRUN_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("GEMINI_API_KEY", "a-secret-key")
    part = {"type": "audio", "path": "{{ id }}.wav"}
    write_job(tmp_path, 2, request={"model": "gemini-3.5-flash", "input": [part], "inline_limit": 0})
    for number in range(2):
        (tmp_path / f"r{number}.wav").write_bytes(wav(1 + number))
    return tmp_path


@pytest.fixture
def url(where: Path) -> Iterator[str]:
    with emulator(where, "--latency", "0s") as address:
        yield address


def batchrun(where: Path, *arguments: str, code: int = 0) -> str:
    ended, out, err = command(where, *arguments)
    assert ended == code, out + err
    assert "a-secret-key" not in out + err
    return out


def listed(where: Path, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(batchrun(where, "files", "list", "--json", *arguments))
    return found


def at_the_service(url: str) -> int:
    return len(httpx.get(f"{url}/v1beta/files", headers={"x-goog-api-key": "a-secret-key"}).json().get("files", []))


def test_uploads_are_listed_and_deleted(where: Path, url: str) -> None:
    assert batchrun(where, "files", "list") == "No uploads on record.\n"
    batchrun(where, "run", "job.json", "--base-url", url, "--quiet")
    found = sorted(listed(where), key=lambda each: each["file"])
    assert [(each["file"], each["state"], each["bytes"]) for each in found] == [
        (f"r{n}.wav", "uploaded", (where / f"r{n}.wav").stat().st_size) for n in range(2)
    ]
    assert all(47 * 3600 < each["expires_in"] <= 48 * 3600 + 1 for each in found)
    table = batchrun(where, "files", "list")
    assert re.search(r"^files/batchrun-\w+ +r0.wav +16.0 kB +\d+s +47h 59m +uploaded$", table, re.MULTILINE)
    assert re.search(r"^2 files stored, 48\.1 kB; a project has room for 20 GB", table, re.MULTILINE)
    said = batchrun(where, "files", "clean", "--base-url", url)
    assert said == "0 files deleted, 0 already gone\n2 files left, which --all deletes at the service\n"
    assert at_the_service(url) == 2
    assert batchrun(where, "files", "clean", "--all", "--base-url", url) == "2 files deleted, 0 already gone\n"
    assert at_the_service(url) == 0
    assert listed(where) == []


def test_files_of_another_key_or_service_or_made_by_others_are_left_alone(
    where: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batchrun(where, "run", "job.json", "--base-url", url, "--quiet")
    headers = {
        "x-goog-api-key": "a-secret-key",
        "x-goog-upload-protocol": "resumable",
        "x-goog-upload-command": "start",
        "x-goog-upload-header-content-length": "3",
        "x-goog-upload-header-content-type": "text/csv",
    }
    session = httpx.post(f"{url}/upload/v1beta/files", headers=headers).headers["x-goog-upload-url"]
    httpx.post(session, content=b"a,b", headers={"x-goog-upload-command": "upload, finalize"})
    assert at_the_service(url) == 3
    monkeypatch.setenv("GEMINI_API_KEY", "another-key")
    left = batchrun(where, "files", "clean", "--all", "--base-url", url)
    assert "2 files left alone: to delete them, set the API key that uploaded them" in left
    monkeypatch.setenv("GEMINI_API_KEY", "a-secret-key")
    assert batchrun(where, "files", "clean", "--all").splitlines() == [
        "0 files deleted, 0 already gone",
        f"2 files at {url} left alone; to clean there: --base-url {url}",
    ]
    batchrun(where, "files", "clean", "--all", "--base-url", url)
    assert at_the_service(url) == 1


def test_a_directory_without_a_rehearsal_has_no_list_of_its_own(where: Path) -> None:
    _, out, said = command(where, "files", "list", "--run-dir", "runs")
    assert "no rehearsal was run here" in said
    assert out == ""


def test_a_purge_with_another_key_names_the_files_that_it_leaves(
    where: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batchrun(where, "run", "job.json", "--base-url", url, "--quiet")
    monkeypatch.setenv("GEMINI_API_KEY", "another-key")
    told = json.loads(batchrun(where, "purge", "job.json", "--base-url", url, "--yes", "--json", code=3))
    assert (told["files"], len(told["others"])) == (0, 2)
    assert all(said.endswith("set the API key that uploaded it") for said in told["others"])
    assert at_the_service(url) == 2


def test_what_is_already_gone_or_expired_is_forgotten(where: Path, url: str) -> None:
    batchrun(where, "run", "job.json", "--base-url", url, "--quiet")
    gone, expired = listed(where)
    httpx.delete(f"{url}/v1beta/{gone['name']}", headers={"x-goog-api-key": "a-secret-key"})
    with sqlite3.connect(where / "state" / "files.db") as connection:
        connection.execute("UPDATE upload SET expires_at = 1 WHERE name = ?", (expired["name"],))
    assert [each["state"] for each in listed(where)] == ["uploaded", "expired"]
    assert batchrun(where, "files", "clean", "--expired", "--base-url", url).startswith(
        "0 files deleted, 1 already gone\n"
    )
    assert batchrun(where, "files", "clean", "--all", "--base-url", url) == "0 files deleted, 1 already gone\n"


def test_what_cannot_be_deleted_is_said_and_stays_on_record(where: Path) -> None:
    with emulator(where, "--latency", "0s") as url:
        batchrun(where, "run", "job.json", "--base-url", url, "--quiet")
    out = batchrun(where, "files", "clean", "--all", "--base-url", url, code=75)
    assert out.count("not deleted: files/batchrun-") == 2
    assert len(listed(where)) == 2


def test_a_rehearsal_keeps_a_list_of_its_own(where: Path) -> None:
    batchrun(where, "run", "job.json", "--emulator", "--quiet", "--latency", "0s")
    assert listed(where) == []
    directory = "runs/job.emulated"
    assert len(listed(where, "--run-dir", directory)) == 2
    assert batchrun(where, "files", "clean", "--all", "--run-dir", directory).startswith("2 files deleted")
    assert listed(where, "--run-dir", directory) == []
    batchrun(where, "files", "clean", "--run-dir", "nowhere", code=65)


def test_options_that_contradict_each_other_are_usage_errors(where: Path) -> None:
    batchrun(where, "files", "clean", "--all", "--expired", code=2)
    batchrun(where, "files", "clean", "--run-dir", "x", "--base-url", "http://localhost:1", code=2)
