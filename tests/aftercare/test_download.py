"""Files of agents' environments: fetched once, whole or not at all, and never outside the row's directory."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from batchrun.aftercare import downloads
from batchrun.aftercare.calls import Calls
from batchrun.aftercare.downloads import Download, Fetched, Place
from batchrun.aftercare.listing import Page
from batchrun.aftercare.paths import directory_name, why_unsafe
from batchrun.errors import Exit, SpecError, StoreError
from batchrun.interactions.client import Client
from batchrun.spec.model import JobSpec
from tests.aftercare.visits import download_all
from tests.rehearsal import Rehearsal

HOSTILE = [
    "/etc/passwd", "../up.txt", "a/../../up.txt", "..", ".", "a//b", "./a", "a/.", "a\\b", "a\x00b", "a\nb",
    "\u202etxt.exe", "\ud800", "a/ b", "x" * 300, "/".join(["d" * 100] * 12),
]  # fmt: skip


def agents(where: Path, rows: int = 3, **request: Any) -> Rehearsal:
    job = Rehearsal(where, rows=rows)
    ask = "Write the first 20 fibonacci numbers to {{ id }}.csv"
    job.spec["request"] = {"agent": "antigravity-preview-09-2026", "environment": "remote", "input": ask, **request}
    return job


def finished(where: Path, rows: int = 3, **request: Any) -> Rehearsal:
    job = agents(where, rows, **request)
    assert job.run().exit_code is Exit.OK
    return job


def files_below(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_the_files_of_every_row_come_into_a_directory_of_its_own(tmp_path: Path) -> None:
    job = finished(tmp_path)
    done = download_all(job)
    assert done.exit_code is Exit.OK
    found = files_below(job.directory / "environments")
    assert sorted(found) == ["r0/r0.csv", "r1/r1.csv", "r2/r2.csv"]
    assert found["r1/r1.csv"].startswith(b"0, 1, 1, 2, 3, 5")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (job.directory / "environments").rglob("*.csv")}
    assert modes == {0o600}


def test_what_is_here_already_is_neither_fetched_nor_written_again(tmp_path: Path, monkeypatch: Any) -> None:
    job = finished(tmp_path)
    download_all(job)
    before = {path: path.stat().st_ino for path in job.directory.rglob("*.csv")}

    async def never(*_: object) -> None:
        raise AssertionError("fetched again")

    monkeypatch.setattr(Client, "environment_file", never)
    assert [row.same for row in download_all(job).rows] == [("r0.csv",), ("r1.csv",), ("r2.csv",)]
    assert {path: path.stat().st_ino for path in job.directory.rglob("*.csv")} == before


def test_a_file_that_was_changed_here_is_fetched_again(tmp_path: Path) -> None:
    job = finished(tmp_path)
    download_all(job)
    changed = job.directory / "environments" / "r1" / "r1.csv"
    content = changed.read_bytes()
    changed.write_bytes(content[:10])
    assert [row.written for row in download_all(job).rows] == [(), ("r1.csv",), ()]
    assert changed.read_bytes() == content


def test_patterns_rows_and_another_place(tmp_path: Path) -> None:
    job = finished(tmp_path)
    done = download_all(job, "*.csv", "x.txt", keys=["r2"], to=tmp_path / "out")
    assert [row.key for row in done.rows] == ["r2"]
    assert list(files_below(tmp_path / "out")) == ["r2/r2.csv"]
    assert [row.written for row in download_all(job, "*.txt").rows] == [(), (), ()]
    assert not (job.directory / "environments").exists()
    with pytest.raises(SpecError, match="'nobody'"):
        download_all(job, keys=["nobody"])


def test_an_environment_that_is_gone_is_told_row_by_row(tmp_path: Path) -> None:
    job = finished(tmp_path)
    job.clock.now += 8 * 86400.0
    done = download_all(job)
    assert done.exit_code is Exit.SOME_ROWS_FAILED
    assert [(row.key, *row.problems) for row in done.rows] == [
        (key, "the environment is gone: the service keeps it for seven days after its last use")
        for key in ("r0", "r1", "r2")
    ]


def test_rows_without_an_environment_have_nothing_to_fetch(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, rows=2)
    job.run()
    assert download_all(job).rows == ()


def test_a_sandbox_that_names_its_files_to_climb_out_stays_inside(tmp_path: Path) -> None:
    sources = [
        {"type": "inline", "target": target, "content": "evil"}
        for target in ("../../evil.txt", "ok/../../../evil.txt", "a\\b", "fine/good.txt")
    ]
    job = finished(tmp_path, rows=1, environment={"type": "remote", "sources": sources})
    (row,) = download_all(job).rows
    assert (sorted(row.written), len(row.problems)) == (["fine/good.txt", "r0.csv"], 3)
    evil = [name for name, content in files_below(tmp_path).items() if content == b"evil"]
    assert evil == ["runs/sums.emulated/environments/r0/fine/good.txt"]


# -- a service that means harm -----------------------------------------------------------------------------------------


class Sandbox(httpx.AsyncBaseTransport):
    """A service whose list of files says what it likes, in pages."""

    def __init__(self, files: Mapping[str, bytes], *pages: list[dict[str, Any]]) -> None:
        self.files, self.pages, self.asked = files, pages, list[str]()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = unquote(request.url.path).partition("/files/")[2]
        if request.url.params.get("alt") == "media":
            self.asked.append(path)
            return httpx.Response(200, content=self.files[path])
        number = int(request.url.params.get("page_token", 0))
        following = {"next_page_token": str(number + 1)} if number + 1 < len(self.pages) else {}
        return httpx.Response(200, content=json.dumps({"files": self.pages[number], **following}))


def listed(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "type": "file", **more}


def fetch(where: Path, service: Sandbox, environment_id: str = "e-1") -> Fetched:
    async def run() -> Fetched:
        spec = JobSpec.model_validate({"name": "a", "input": {"path": "x"}})
        client = Client("key", base_url="https://service.example", transport=service)
        place = Place("a", environment_id, where / "a")
        return await Download(Calls(spec, lambda: 0.0), client, place).run(())

    return asyncio.run(run())


@pytest.mark.parametrize("path", HOSTILE)
def test_hostile_names_are_refused_and_nothing_is_asked_for(tmp_path: Path, path: str) -> None:
    assert why_unsafe(path) or not path.isprintable()
    service = Sandbox({}, [listed(path)])
    done = fetch(tmp_path, service)
    assert (len(done.problems), service.asked, files_below(tmp_path)) == (1, [], {})


def test_only_plain_files_are_fetched(tmp_path: Path) -> None:
    kinds = [{**listed(kind), "type": kind} for kind in ("symlink", "directory", "device")]
    service = Sandbox({"a b#?%.txt": b"yes"}, [*kinds, listed("a b#?%.txt")])
    done = fetch(tmp_path, service)
    assert done.problems == ("symlink: it is no file but a symlink", "device: it is no file but a device")
    assert files_below(tmp_path / "a") == {"a b#?%.txt": b"yes"}


def test_pages_are_read_to_the_end_and_a_list_that_goes_round_is_left(tmp_path: Path) -> None:
    files = {"a": b"1", "b": b"2"}
    service = Sandbox(files, [listed("a")], [listed("b"), listed("a")])
    assert fetch(tmp_path, service).written == ("a", "b")

    class Endless(Sandbox):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if "alt" in request.url.params:
                return await super().handle_async_request(request)
            return httpx.Response(200, json={"files": [listed("a")], "nextPageToken": "same"})

    endless = Endless(files)
    assert fetch(tmp_path, endless).same == ("a",)
    assert endless.asked == ["a"]


def test_what_is_too_large_or_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_MOST_BYTES", 10)
    monkeypatch.setattr(downloads, "_MOST_TOTAL", 15)
    monkeypatch.setattr(downloads, "_MOST_FILES", 4)
    files = {"big": b"x" * 11, "one": b"x" * 9, "liar": b"x" * 9, "two": b""}
    entries = [
        listed("big", size_bytes="11"),
        listed("one"),
        listed("liar", size_bytes="1"),
        listed("two"),
        listed("z"),
    ]
    done = fetch(tmp_path, Sandbox(files, entries))
    assert done.written == ("one",)
    assert [problem.split(":")[0] for problem in done.problems][:3] == ["big", "liar", "two"]
    assert "more than 4 files" in done.problems[-1]


def test_a_link_that_stands_in_the_way_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("mine")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "sub").symlink_to(outside)
    (tmp_path / "a" / "link.txt").symlink_to(outside / "kept.txt")
    service = Sandbox({"sub/x.txt": b"evil", "link.txt": b"evil"}, [listed("sub/x.txt"), listed("link.txt")])
    done = fetch(tmp_path, service)
    assert (len(done.problems), done.written) == (1, ("link.txt",))
    assert files_below(outside) == {"kept.txt": b"mine"}
    assert not (tmp_path / "a" / "link.txt").is_symlink()


def test_a_file_where_a_directory_should_be_is_a_problem_of_that_file(tmp_path: Path) -> None:
    service = Sandbox({"a": b"1", "a/b": b"2", "c": b"3"}, [listed("a"), listed("a/b"), listed("c")])
    done = fetch(tmp_path, service)
    assert (done.written, len(done.problems)) == (("a", "c"), 1)


def test_an_id_that_is_no_id_is_not_asked_for(tmp_path: Path) -> None:
    service = Sandbox({}, [])
    assert fetch(tmp_path, service, "../../interactions/x").problems == (
        "the environment has an id that cannot be part of an address",
    )


def test_a_disk_that_refuses_stops_the_command(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="download again"):
        fetch(tmp_path / ("x" * 300), Sandbox({"x": b"1"}, [listed("x")]))


def test_a_list_that_makes_no_sense_is_a_problem_and_no_more() -> None:
    assert Page.parse(b"[1]") is None
    odd = {
        "files": [7, {"path": 3}, {"name": "a", "size_bytes": "x", "modified": "never", "type": 4}],
        "next_page_token": 5,
    }
    page = Page.parse(json.dumps(odd).encode())
    assert page is not None
    assert [(entry.path, entry.kind, entry.size, entry.modified) for entry in page.entries] == [
        ("a", "file", None, None)
    ]
    assert page.following == ""
    for stamp in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", 5):
        entry = Page.parse(json.dumps({"files": [listed("a", modified=stamp)]}).encode())
        assert entry is not None
        assert entry.entries[0].modified is None


def test_every_key_has_a_directory_of_its_own() -> None:
    keys = ["r1", "R1", "a/b", "a-b", "..", "", ".", "x" * 70, "x" * 71, "سلام", "a b", "a_b", "\ud800"]
    names = [directory_name(key) for key in keys]
    assert len({name.lower() for name in names}) == len(keys)
    assert all(why_unsafe(name) is None and "/" not in name for name in names)
    assert directory_name("r1") == "r1"
    assert directory_name(directory_name("a/b")) != directory_name("a/b")
