"""A folder of files as rows: what is hidden, hostile or elsewhere is not taken in, and nothing is left out silently."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from batchrun.errors import SpecError
from batchrun.inputs.folder import list_files
from batchrun.inputs.read import fingerprint, read_rows
from batchrun.rows import InputRow
from batchrun.spec.model import InputSpec
from tests.rehearsal import Rehearsal


def rows(base: Path, pattern: str, **more: Any) -> Iterator[InputRow]:
    return read_rows(InputSpec(files=pattern, **more), base)


def made(where: Path, *names: str) -> None:
    for name in names:
        path = where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"the content of {name}")


def test_each_file_is_a_row_named_by_its_path(tmp_path: Path) -> None:
    made(tmp_path, "inbox/b.pdf", "inbox/a.tar.gz", "inbox/deep/er/c.pdf", "elsewhere/d.pdf")
    found = list(rows(tmp_path, "inbox/**/*"))
    assert [row.key for row in found] == ["inbox/a.tar.gz", "inbox/b.pdf", "inbox/deep/er/c.pdf"]
    content = b"the content of inbox/a.tar.gz"
    assert found[0].data == {
        "file": "inbox/a.tar.gz",
        "name": "a.tar.gz",
        "stem": "a.tar",
        "suffix": ".gz",
        "bytes": len(content),
        "sha256": sha256(content).hexdigest(),
    }
    assert found[0].source == "inbox/a.tar.gz"


def test_a_file_that_was_changed_is_a_row_that_was_edited_and_one_that_was_touched_is_not(tmp_path: Path) -> None:
    made(tmp_path, "a.txt")
    (before,), mark = rows(tmp_path, "*.txt"), fingerprint(InputSpec(files="*.txt"), tmp_path)
    os.utime(tmp_path / "a.txt")
    (touched,) = rows(tmp_path, "*.txt")
    (tmp_path / "a.txt").write_text("another")
    (changed,) = rows(tmp_path, "*.txt")
    assert before.sha == touched.sha != changed.sha
    assert fingerprint(InputSpec(files="*.txt"), tmp_path) != mark


def test_hidden_files_directories_and_what_is_no_file_are_left_out(tmp_path: Path) -> None:
    made(tmp_path, "in/.hidden", "in/.git/config", "in/seen.txt", "in/sub/seen.txt")
    os.mkfifo(tmp_path / "in" / "pipe")
    assert [row.key for row in rows(tmp_path, "in/**/*")] == ["in/seen.txt", "in/sub/seen.txt"]


def test_links_out_of_the_folder_are_refused_and_those_within_are_files(tmp_path: Path) -> None:
    made(tmp_path, "in/a.txt", "out/secret.txt")
    for name, target in {"b.txt": "a.txt", "c.txt": "../out/secret.txt", "d.txt": "nowhere", "e": "../out"}.items():
        (tmp_path / "in" / name).symlink_to(target)
    (tmp_path / "in" / "loop").symlink_to(".")
    found = {row.key: row.problem.message if row.problem else "" for row in rows(tmp_path, "in/**/*.txt")}
    assert (found.pop("in/a.txt"), found.pop("in/b.txt")) == ("", "")
    assert "leads out of the folder" in found.pop("in/c.txt")
    assert found.pop("in/d.txt")
    assert found == {}
    (through,) = rows(tmp_path, "in/e/*.txt")
    assert through.problem is None  # the job itself names the folder
    assert [row.problem is not None for row in rows(tmp_path, "in/*/secret.txt")] == [True]


@pytest.mark.parametrize(
    "name", ["-rf.txt", 'it\'s "quoted".txt', "a b.txt", "{{ date }}.txt", "[x]*?.txt", "日本.txt"]
)
def test_odd_names_are_names(tmp_path: Path, name: str) -> None:
    made(tmp_path, name)
    (row,) = rows(tmp_path, "*.txt")
    assert (row.key, row.problem) == (name, None)


@pytest.mark.parametrize(
    ("name", "said"),
    [(b"new\nline.txt", "control character"), (b"latin-\xe9.txt", "not UTF-8"), (b"x\x1b[2J.txt", "control")],
)
def test_names_that_cannot_be_sent_fail_as_rows_and_can_be_told_apart(tmp_path: Path, name: bytes, said: str) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("x")
    (row,) = rows(tmp_path, "*.txt")
    assert row.problem is not None
    assert said in row.problem.message
    assert row.key.isprintable()


def test_a_glob_from_elsewhere_finds_names_relative_to_the_job(tmp_path: Path) -> None:
    made(tmp_path, "inbox/a.txt")
    job = tmp_path / "job"
    job.mkdir()
    assert [row.key for row in rows(job, "../inbox/*.txt")] == ["../inbox/a.txt"]
    assert [row.key for row in rows(job, str(tmp_path / "inbox" / "*.txt"))] == ["../inbox/a.txt"]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("missing/*.pdf", "there is no folder"),
        ("inbox", "write a glob of files, such as inbox/"),
        ("inbox/*.pdf", "no file matches"),
    ],
)
def test_a_glob_that_cannot_be_meant_is_told(tmp_path: Path, pattern: str, said: str) -> None:
    made(tmp_path, "inbox/a.txt")
    with pytest.raises(SpecError, match=said):
        list(rows(tmp_path, pattern))


def test_other_columns_may_name_the_rows_and_leave_some_out(tmp_path: Path) -> None:
    made(tmp_path, "x/a.txt", "y/b.txt")
    assert [row.key for row in rows(tmp_path, "**/*.txt", key="stem", where="stem != 'a'")] == ["b"]


def test_listing_reads_nothing(tmp_path: Path) -> None:
    made(tmp_path, "a.txt")
    (tmp_path / "a.txt").chmod(0)
    assert [file.name for file in list_files("*.txt", tmp_path, "input.files")] == ["a.txt"]


def test_a_link_that_goes_round_in_circles_fails_as_a_row_and_stops_no_run(tmp_path: Path) -> None:
    job = Rehearsal(tmp_path, 0)
    job.spec["input"] = {"files": "inbox/*.txt"}
    job.spec["request"]["input"] = "Read {{ file }}."
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "a.txt").write_text("a")
    (tmp_path / "inbox" / "loop.txt").symlink_to("loop.txt")
    summary = job.run(latency="0s").summary
    assert (summary.succeeded, summary.failed) == (1, 1)
