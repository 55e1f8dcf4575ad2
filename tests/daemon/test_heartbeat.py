"""Whether a daemon lives is told from its lock and its heartbeat; of two for one directory the second is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchrun.daemon.heartbeat import Hold, place_of, trouble
from batchrun.errors import LockedError

NOW = 1_795_352_400.0


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    place_of(tmp_path).mkdir(parents=True)
    return tmp_path


def test_a_directory_without_a_daemon_is_told_with_what_starts_one(tmp_path: Path) -> None:
    assert f"batchrun schedule run {tmp_path}" in (trouble(tmp_path, NOW) or "")


@pytest.mark.parametrize(("later", "said"), [(0, None), (119, None), (121, "stuck for 121 s"), (-3600, "stuck")])
def test_a_daemon_lives_as_long_as_it_says_so(directory: Path, later: float, said: str | None) -> None:
    with closing(Hold(directory)) as hold:
        hold.beat(NOW)
        found = trouble(directory, NOW + later)
    assert found is None if said is None else said in str(found)


def test_the_sign_of_life_of_a_dead_one_does_not_count(directory: Path) -> None:
    with closing(Hold(directory)) as hold:
        hold.beat(NOW)
    assert "no daemon runs" in str(trouble(directory, NOW))


@pytest.mark.parametrize("text", ["", "[]", '{"at": null}', "\x00"])
def test_a_heartbeat_that_cannot_be_read_is_none(directory: Path, text: str) -> None:
    with closing(Hold(directory)):
        (place_of(directory) / "heartbeat.json").write_text(text)
        assert "has not said yet that it lives" in str(trouble(directory, NOW))


def test_a_second_daemon_is_told_who_the_first_is(directory: Path) -> None:
    with closing(Hold(directory)), pytest.raises(LockedError, match=f"process {os.getpid()} on .* runs the jobs"):
        Hold(directory)
