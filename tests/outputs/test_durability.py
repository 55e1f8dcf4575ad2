"""What is said to be on the disk is: contents are synced before a name shows them, names before anyone goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchrun.outputs.files import write_whole
from batchrun.outputs.media import detach
from batchrun.runs.directory import RunDir
from tests.outputs.test_media import answer, block, picture


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """Every sync and every rename, as they happen."""
    seen: list[tuple[str, Path]] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        seen.append(("sync", Path(os.readlink(f"/proc/self/fd/{descriptor}"))))
        real_fsync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        seen.append(("rename", Path(target)))
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    return seen


def kinds(steps: list[tuple[str, Path]]) -> list[str]:
    return [f"{what} directory" if path.is_dir() else what for what, path in steps]


def test_an_output_is_synced_renamed_and_its_directory_synced(tmp_path: Path, steps: list[tuple[str, Path]]) -> None:
    write_whole(tmp_path / "results.parquet", b"rows")
    assert kinds(steps) == ["sync", "rename", "sync directory"]
    assert steps[2][1] == tmp_path


def test_a_medium_is_synced_before_it_has_its_name_and_its_directory_before_the_answer_tells_of_it(
    tmp_path: Path, steps: list[tuple[str, Path]]
) -> None:
    detach(answer(block(picture())), tmp_path / "media", "row-1")
    assert kinds(steps) == ["sync directory", "sync", "rename", "sync directory"]
    assert [steps[0][1], steps[3][1]] == [tmp_path, tmp_path / "media"]


def test_a_run_directory_survives_a_power_cut(tmp_path: Path, steps: list[tuple[str, Path]]) -> None:
    RunDir(tmp_path / "runs" / "job").make()
    assert {path for what, path in steps if what == "sync"} == {tmp_path, tmp_path / "runs"}
