from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from batchrun.errors import StoreError
from batchrun.outputs.files import replacing, write_whole


def test_a_written_file_is_private_and_has_nothing_beside_it(tmp_path: Path) -> None:
    write_whole(tmp_path / "run.json", b"{}")
    assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    write_whole(path, b"old")
    with replacing(path) as draft:
        draft.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_an_exception_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "out"
    write_whole(path, b"old")
    with contextlib.suppress(ZeroDivisionError), replacing(path) as draft:
        draft.write_bytes(b"half")
        raise ZeroDivisionError
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"out": b"old"}


def _die_while_writing(path: Path) -> None:
    with replacing(path) as draft:
        draft.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_the_draft_of_a_killed_writer_is_removed_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "out"
    write_whole(path, b"old")
    writer = multiprocessing.get_context("spawn").Process(target=_die_while_writing, args=(path,))
    writer.start()
    writer.join()
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
    write_whole(path, b"new")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"out": b"new"}


def test_the_draft_of_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with replacing(path) as first:
        first.write_bytes(b"first")
        write_whole(path, b"second")
    assert path.read_bytes() == b"first"


def test_files_with_similar_names_are_left_alone(tmp_path: Path) -> None:
    for name in ("out.tmp", ".out", ".other.x.tmp", "out.x.tmp"):
        (tmp_path / name).write_bytes(b"")
    write_whole(tmp_path / "out", b"")
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("name", ["missing/out", "directory"])
def test_a_disk_that_refuses_is_a_store_error_that_names_the_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(StoreError, match="cannot write '.*" + name):
        write_whole(tmp_path / name, b"")
