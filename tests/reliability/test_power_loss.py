"""The short set of the power cuts, and that careless runs do not survive them."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.processes import emulator
from tests.reliability.disk import Cut, Directory, File, Loss
from tests.reliability.planted import Step, sync_less, sync_no_files
from tests.reliability.proofs.power_loss import found, prove, record
from tests.reliability.traces import available

needs_strace = pytest.mark.skipif(not available(), reason="needs strace (apt-get install strace)")


@needs_strace
def test_no_power_cut_loses_an_intent_or_an_id_or_tears_a_file(tmp_path: Path) -> None:
    for figure in prove(tmp_path, full=False):
        assert figure.met, figure.note


@needs_strace
@pytest.mark.parametrize(
    ("careless", "kinds"),
    [
        (sync_less, {"billed without intent", "id lost", "blocked"}),
        (sync_no_files, {"torn", "medium lost", "unknown to the ledger"}),
    ],
)
def test_a_run_that_does_not_sync_is_found_out(tmp_path: Path, careless: Step, kinds: set[str]) -> None:
    with emulator(tmp_path, "--latency", "0s") as url:
        recording = record(tmp_path / "run", url, careless)
    faults = found(recording, 150, 1, tmp_path / "image")
    assert kinds <= {fault.partition(":")[0] for fault in faults}


def test_a_disk_keeps_what_was_synced_and_may_keep_any_page_of_the_rest(tmp_path: Path) -> None:
    root, file = Directory(), File()
    root.name(0, "file", file)
    root.syncs.append((1, 2))
    file.write(3, 0, b"a" * 5000)
    file.syncs.append((4, 5))
    file.write(6, 4000, b"b" * 200)

    def left(at: int, loss: Loss, seed: int = 0) -> bytes:
        root.write_out(Cut(at, loss, Random(seed)), tmp_path)
        return (tmp_path / "file").read_bytes()

    whole = b"a" * 4000 + b"b" * 200 + b"a" * 800
    assert left(6, Loss.NOTHING) == whole
    assert left(6, Loss.ALL) == b"a" * 5000
    assert left(4, Loss.ALL) == b""
    halves = {b"a" * 4000 + b"b" * 96 + b"a" * 904, b"a" * 4096 + b"b" * 104 + b"a" * 800}
    assert {left(6, Loss.SOME, seed) for seed in range(40)} == {whole, b"a" * 5000, *halves}
