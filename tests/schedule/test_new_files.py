"""With `new_only` each content is taken by one slot, once, whatever is killed, moved, copied or written meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from batchrun.clock import wall_clock
from batchrun.errors import Exit, SpecError, StoreError
from batchrun.runs.scheduled import beginning, planned, scheduled
from batchrun.runs.slot_ticks import GRACE
from batchrun.schedule.deciding import decided
from batchrun.spec.load import load_job
from batchrun.spec.model import InputSpec
from tests.schedule.nightly import Nightly

DOCUMENTS = {"path": None, "key": None, "files": "inbox/*.txt", "new_only": True}


class Inbox(Nightly):
    """Its files are written now, and its clock is about now: what a file's system says of its age is real."""

    def __init__(self, where: Path, **changes: Any) -> None:
        changes = {"input": DOCUMENTS, "request": {"input": "Read {{ file }}."}, **changes}
        super().__init__(where, 0, **changes)
        self.spec["input"] = {name: value for name, value in self.spec["input"].items() if value is not None}
        (where / "inbox").mkdir()
        self.latency = "0s"
        self.clock.now += max(0.0, wall_clock() - self.clock.wall()) + 3600
        self.tick()

    def put(self, name: str, content: str | None = None) -> Path:
        path = self.where / "inbox" / name
        path.write_text(content or f"content of {name}")
        return path

    def night(self, **emulator: Any) -> list[str]:
        """The next slot: the keys of its rows."""
        self.clock.now += 86_400
        done = self.tick(**emulator)
        for _ in range(2):
            self.clock.now += 60
            done = self.tick(**emulator) or done
        assert [str(stood.state) for stood in done] == ["done"], done
        results = self.home / done[-1].slot / "results.parquet"
        return [str(row["key"]) for row in pq.read_table(results).to_pylist()]


def look(job: Inbox) -> None:
    """Decide about the slots whose time has come, and begin none."""
    loaded = load_job(job.write())
    with job.record() as record:
        assert decided(scheduled(loaded), "sums", record, job.clock.wall(), GRACE)


def test_each_slot_takes_what_no_earlier_one_has_taken(tmp_path: Path) -> None:
    job = Inbox(tmp_path)
    job.put("a.txt")
    job.put("b.txt")
    assert job.night() == ["inbox/a.txt", "inbox/b.txt"]
    job.put("c.txt")
    assert job.night() == ["inbox/c.txt"]
    assert len(job.billed()) == 3


def test_content_counts_not_the_name(tmp_path: Path) -> None:
    job = Inbox(tmp_path)
    a = job.put("a.txt", "one")
    job.put("copy-of-a.txt", "one")
    assert job.night() == ["inbox/a.txt"]
    a.rename(tmp_path / "inbox" / "renamed.txt")
    job.put("copy-of-a.txt", "two")
    assert job.night() == ["inbox/copy-of-a.txt"]


def test_a_slot_without_new_files_ends_well_at_once(tmp_path: Path) -> None:
    job = Inbox(tmp_path)
    job.clock.now += 86_400
    (stood,) = job.tick()
    assert (stood.state, stood.why, stood.exit_code) == ("done", "nothing new", Exit.OK)


def test_what_a_slot_took_before_it_was_killed_is_its_own(tmp_path: Path) -> None:
    job = Inbox(tmp_path)
    job.put("a.txt")
    with beginning(job.wanted(), job.clock.wall()) as (before, _):
        pass  # as `kill -9` leaves it: taken, and not one row of it taken in
    job.put("b.txt")
    found = planned(job.wanted(), job.clock.wall())
    assert found.taken == before.taken
    result = job.by_hand()
    assert (result.summary.succeeded, len(job.billed())) == (1, 1)
    assert job.night() == ["inbox/b.txt"]


def test_looking_takes_nothing(tmp_path: Path) -> None:
    job = Inbox(tmp_path)
    job.put("a.txt")
    found = planned(job.wanted(), job.clock.wall())
    assert [file.name for file in found.taken or ()] == ["inbox/a.txt"]
    with job.record() as record:
        assert record.took("2026-11-22T0300Z") is None
    assert job.night() == ["inbox/a.txt"]


def test_a_file_that_is_still_being_written_is_left_to_the_next_slot(tmp_path: Path) -> None:
    job = Inbox(tmp_path, input={**DOCUMENTS, "min_age": "30d"})
    job.put("young.txt")
    job.clock.now += 86_400
    (stood,) = job.tick()
    assert stood.why == "nothing new"
    assert stood.notes == ("1 file younger than `min_age`: left for the next slot",)
    job.clock.now += 30 * 86_400
    assert job.night() == ["inbox/young.txt"]


def test_a_taken_file_that_is_gone_or_changed_is_told_when_the_slot_goes_on(tmp_path: Path) -> None:
    job = Inbox(tmp_path, limits={"in_flight": 1}, poll={"deadline": "5d"})
    job.latency = "30h"
    gone, changed = job.put("gone.txt"), job.put("other.txt")
    job.put("third.txt")
    job.clock.now += 86_400
    job.tick()
    gone.unlink()
    changed.write_text("something else")
    (stood,) = job.tick()
    assert [line.partition(":")[0] for line in stood.notes] == ["inbox/gone.txt", "inbox/other.txt"]
    assert "not there any more" in stood.notes[0]
    assert "changed since" in stood.notes[1]
    assert stood.exit_code is Exit.OK


def test_a_row_that_failed_has_taken_its_file(tmp_path: Path) -> None:
    job = Inbox(tmp_path, request={"input": "{{ nothing }}"})
    job.put("a.txt")
    job.clock.now += 86_400
    (stood,) = job.tick()
    assert (stood.state, stood.exit_code) == ("done", Exit.SOME_ROWS_FAILED)
    job.clock.now += 86_400
    assert [again.why for again in job.tick()] == ["nothing new"]


def test_files_that_cannot_be_taken_are_told_and_taken_once_they_can(tmp_path: Path) -> None:
    job = Inbox(tmp_path)
    odd = tmp_path / "inbox" / "new\nline.txt"
    odd.write_text("x")
    job.clock.now += 86_400
    (stood,) = job.tick()
    assert stood.notes == ("inbox/new\\nline.txt: its name holds a control character; rename it",)
    odd.rename(tmp_path / "inbox" / "line.txt")
    assert job.night() == ["inbox/line.txt"]


def test_files_of_rows_are_taken_whole(tmp_path: Path) -> None:
    job = Inbox(tmp_path, input={"files": None, "key": None, "path": "inbox/*.jsonl", "new_only": True})
    job.spec["request"]["input"] = "{{ question }}"
    job.put("1.jsonl", '{"question": "a"}\n{"question": "b"}\n')
    assert len(job.night()) == 2
    job.put("2.jsonl", '{"question": "c"}\n')
    assert len(job.night()) == 1
    assert len(job.billed()) == 3


def test_a_missing_folder_is_no_empty_one(tmp_path: Path) -> None:
    job = Inbox(tmp_path)
    (tmp_path / "inbox").rmdir()
    job.clock.now += 86_400
    (stood,) = job.tick()
    assert (stood.state, stood.exit_code) == ("blocked", Exit.BAD_INPUT)
    (tmp_path / "inbox").mkdir()
    job.put("a.txt")
    (stood,) = job.tick()
    assert stood.state == "begun"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "give `path` or `files`"),
        ({"path": "a", "files": "b"}, "give `path` or `files`"),
        ({"path": "-", "new_only": True}, "needs files"),
        ({"files": "*", "new_only": True, "limit": 5}, "takes all files that are new"),
        ({"files": "*", "min_age": "1m"}, "needs `new_only: true`"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        InputSpec(**given)


def test_new_only_needs_a_schedule(tmp_path: Path) -> None:
    job = Inbox(tmp_path)
    del job.spec["schedule"]
    with pytest.raises(SpecError, match="known only with a `schedule`"):
        planned(job.wanted(), 0.0)


def test_a_file_that_nobody_has_written_to_is_known_without_being_read(tmp_path: Path) -> None:
    job = Inbox(tmp_path)
    path = job.put("a.txt")
    job.night()
    status = path.stat()
    path.write_text("content of b.txt")
    with job.record() as record:
        assert record.knows("inbox/a.txt", status.st_size, status.st_ctime_ns)
        assert not record.knows("inbox/a.txt", status.st_size, path.stat().st_ctime_ns)


def test_with_the_record_lost_no_file_is_paid_for_again(tmp_path: Path) -> None:
    job = Inbox(tmp_path)
    job.put("a.txt")
    assert job.night() == ["inbox/a.txt"]
    old = (job.home / "schedule.db").read_bytes()
    job.put("b.txt")
    assert job.night() == ["inbox/b.txt"]
    (job.home / "schedule.db").write_bytes(old)
    job.put("c.txt")
    assert job.night() == ["inbox/c.txt"]
    (job.home / "schedule.db").unlink()
    job.tick()
    job.put("d.txt")
    assert job.night() == ["inbox/d.txt"]
    assert len(job.billed()) == 4


def test_with_a_record_from_before_a_slot_was_begun_its_files_are_not_paid_for_again(tmp_path: Path) -> None:
    job = Inbox(tmp_path, schedule={"overlap": "replace"})
    job.put("a.txt")
    job.clock.now += 86_400
    look(job)
    old = (job.home / "schedule.db").read_bytes()
    job.tick()
    job.tick()
    assert len(job.billed()) == 1
    (job.home / "schedule.db").write_bytes(old)
    job.put("b.txt")
    assert job.night() == ["inbox/b.txt"]
    assert len(job.billed()) == 2


def test_files_of_slots_before_the_job_was_given_new_only_are_not_new(tmp_path: Path) -> None:
    job = Inbox(tmp_path, input={**DOCUMENTS, "new_only": False})
    job.put("a.txt")
    assert job.night() == ["inbox/a.txt"]
    job.spec["input"]["new_only"] = True
    job.put("b.txt")
    assert job.night() == ["inbox/b.txt"]


def test_where_nobody_can_tell_what_was_taken_nothing_is_sent(tmp_path: Path) -> None:
    job = Inbox(
        tmp_path,
        input={"path": "inbox/*.jsonl", "files": None, "new_only": True, "key": None},
        request={"input": "Say {{ word }}."},
    )
    job.put("a.jsonl", '{"word": "one"}\n')
    assert len(job.night()) == 1
    (job.home / "schedule.db").unlink()
    with pytest.raises(StoreError, match=r"does not know of the slot .*paid again; nothing was sent"):
        job.tick()
    assert len(job.billed()) == 1
