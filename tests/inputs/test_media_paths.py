"""A pattern stands for files inside the root, by name; whatever else it meets ends the row."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchrun.errors import RowError
from batchrun.inputs import media_paths
from batchrun.inputs.media_files import look
from batchrun.inputs.media_paths import find


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with two folders of scans, beside a folder that no row may see."""
    for name in ("job/scans/b.png", "job/scans/a.png", "job/scans/.hidden.png", "job/other/c.png", "outside/d.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "job"


def names(root: Path, pattern: str, base: Path | None = None) -> list[str]:
    return [place.shown for place in find(pattern, base or root, root)]


def failure(root: Path, pattern: str) -> RowError:
    with pytest.raises(RowError) as caught:
        _ = [look(place) for place in find(pattern, root, root)]
    return caught.value


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("scans/*.png", ["scans/a.png", "scans/b.png"]),
        ("scans/[b-z].png", ["scans/b.png"]),
        ("scans/?.png", ["scans/a.png", "scans/b.png"]),
        ("*/*.png", ["other/c.png", "scans/a.png", "scans/b.png"]),
        ("scans/.*.png", ["scans/.hidden.png"]),
        ("**/a.png", ["scans/a.png"]),
    ],
)
def test_a_pattern_finds_files_by_name(root: Path, pattern: str, found: list[str]) -> None:
    assert names(root, pattern) == found


def test_a_pattern_may_start_from_beside_the_job_file(root: Path) -> None:
    base = root.parent / "elsewhere"
    base.mkdir()
    assert names(root, "../job/scans/*.png", base) == ["../job/scans/a.png", "../job/scans/b.png"]


def test_a_file_whose_name_looks_like_a_pattern_is_itself(root: Path) -> None:
    (root / "scans" / "[b].png").write_bytes(b"x")
    assert names(root, "scans/[b].png") == ["scans/[b].png"]


@pytest.mark.parametrize("pattern", ["scans/*.jpg", "none/*.png", "scans/a.png/*"])
def test_a_pattern_that_finds_nothing_is_missing(root: Path, pattern: str) -> None:
    assert failure(root, pattern).kind == "media_missing"


@pytest.mark.parametrize(
    "pattern", ["../outside/*.png", "../*/*.png", "*/../../outside/*", "/etc/*", "scans/*/../a.png", "scans/./../../*"]
)
def test_a_pattern_that_leads_out_is_forbidden(root: Path, pattern: str) -> None:
    assert failure(root, pattern).kind in ("media_forbidden", "media_missing")
    assert failure(root, "../outside/*.png").kind == "media_forbidden"


def test_a_link_among_the_matches_is_judged_by_where_it_leads(root: Path) -> None:
    (root / "scans" / "in.png").symlink_to("../other/c.png")
    assert names(root, "scans/*.png") == ["scans/a.png", "scans/b.png", "scans/in.png"]
    (root / "scans" / "out.png").symlink_to("../../outside/d.png")
    assert failure(root, "scans/*.png").kind == "media_forbidden"


def test_a_directory_that_leads_out_is_not_looked_into(root: Path) -> None:
    (root / "out").symlink_to("../outside")
    assert failure(root, "o*/*.png").kind == "media_forbidden"


@pytest.mark.parametrize("swapped", ["scans", "scans/a.png"])
def test_what_becomes_a_link_after_it_was_judged_is_not_followed(root: Path, swapped: str) -> None:
    """Somebody who may write there swaps a name between the look and the open."""
    (place,) = find("scans/a.png", root, root)
    (root.parent / "outside/a.png").write_bytes(b"secret")
    (root / swapped).rename(root / "was")
    (root / swapped).symlink_to(root.parent / "outside" / Path(swapped).relative_to("scans"))
    with pytest.raises(RowError) as caught:
        look(place)
    assert caught.value.kind in ("media_missing", "media_unreadable")


def test_what_is_no_regular_file_among_the_matches_ends_the_row(root: Path) -> None:
    (root / "scans" / "folder.png").mkdir()
    assert failure(root, "scans/*.png").kind == "media_unreadable"
    (root / "scans" / "folder.png").rmdir()
    os.mkfifo(root / "scans" / "pipe.png")
    assert failure(root, "scans/*.png").kind == "media_unreadable"


def test_a_pattern_has_a_limit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_paths, "MOST_FILES", 2)
    assert len(names(root, "scans/*.png")) == 2
    assert failure(root, "*/*.png").kind == "media_too_many"


def test_names_that_are_no_text_are_shown_as_text(root: Path) -> None:
    (root / "scans" / os.fsdecode(b"\xff.gif")).write_bytes(b"x")
    (place,) = find("scans/*.gif", root, root)
    assert place.shown.encode()
    assert look(place)[0].size == 1


def test_a_root_that_is_no_directory_is_said_to_be_none(root: Path) -> None:
    for nowhere in (root / "nowhere", root / "scans" / "a.png"):
        with pytest.raises(RowError, match=r"request\.media_root.* is no directory") as caught:
            find("scans/a.png", root, nowhere)
        assert caught.value.kind == "media_missing"
