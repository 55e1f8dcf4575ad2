"""Peak memory of runs whose rows carry files of 20 MB, sent inside requests and uploaded."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.processes import BATCHRUN, measure, served, wall

TARGET_MB = 1_000
POSTS = (4, 16)
_IN_FLIGHT = 32
_FILE_BYTES = 20_000_000
_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x03\x20\0\0\x02\x58\x08\x02\0\0\0"


def run(folder: Path, *, quick: bool) -> list[Figure]:
    rows = 40 if quick else 200
    write_files(folder, rows)
    inline = [figure for posts in POSTS for figure in _inline(folder, rows, posts)]
    write_job(folder, "uploaded", max(POSTS))
    return [*inline, *_figures(f"{rows} rows of 20 MB uploaded", folder, "uploaded")]


def _inline(folder: Path, rows: int, posts: int) -> list[Figure]:
    name = f"inline-{posts}"
    write_job(folder, name, posts, inline_limit=2 * _FILE_BYTES)
    return _figures(f"{rows} rows of 20 MB inline, {posts} POSTs", folder, name)


def _figures(what: str, folder: Path, name: str) -> list[Figure]:
    """Against an emulator that is gone afterwards, with all that it was sent."""
    with served(folder) as emulator:
        began = wall()
        peak = measure(run_at(emulator.url, name), folder).peak_bytes / 1e6
        took = wall() - began
    return [
        Figure(f"peak memory, {what}", f"< {TARGET_MB} MB", f"{peak:.0f} MB", peak < TARGET_MB),
        Figure(f"time, {what}", "", f"{took:.0f} s", None),
    ]


def write_files(folder: Path, rows: int) -> None:
    """An image of 20 MB for each row, all of them different, and the input that names them."""
    noise = os.urandom(_FILE_BYTES - len(_PNG) - 20)
    for number in range(rows):
        (folder / f"{number}.png").write_bytes(_PNG + b"%08d" % number + noise + b"IEND\xaeB`\x82    ")
    lines = (json.dumps({"id": f"r{number}", "file": f"{number}.png"}) for number in range(rows))
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")


def write_job(folder: Path, name: str, posts: int, **request: object) -> None:
    spec = {
        "name": name,
        "input": {"path": "rows.jsonl", "key": "id"},
        "request": {
            "model": "gemini-3.5-flash",
            "input": [{"type": "image", "path": "{{ file }}"}, {"type": "text", "text": "What is this?"}],
            **request,
        },
        "limits": {"in_flight": _IN_FLIGHT, "posts": posts},
        "poll": {"first": 0, "rpm": None},
    }
    (folder / f"{name}.json").write_text(json.dumps(spec))


def run_at(url: str, name: str) -> Sequence[str]:
    return (*BATCHRUN, "run", f"{name}.json", "--base-url", url, "--quiet")
