"""Mistakes that somebody could make in batchrun, each as a replacement in its source, and who has to notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: As the name of a test: seeds of the simulation.
SEEDS = "seeds"


@dataclass(frozen=True, slots=True)
class Mutation:
    """`before` occurs once in `file` (below batchrun/) and becomes `after`; one of `tests` has to fail then."""

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]

    def apply(self, package: Path) -> None:
        """Make the mistake in this copy of the package. Raises ValueError where the source has changed."""
        path = package / self.file
        source = path.read_text()
        if source.count(self.before) != 1:
            raise ValueError(f"{self.name!r}: {self.file} has {source.count(self.before)} places for it, not one")
        path.write_text(source.replace(self.before, self.after))


_STORE = "tests/store/test_store.py::test_"
_ENGINE = "tests/engine/test_engine.py::test_"
_RESUME = "tests/engine/test_resume.py::test_"
_TALKS = "tests/engine/test_talks_resume.py::test_"
_EVIDENCE = "tests/interactions/test_evidence.py"
_POLLING = "tests/engine/test_polling.py"
_DURABILITY = "tests/outputs/test_durability.py"

MUTATIONS = (
    Mutation(
        "the POST goes before its intent",
        "engine/post.py",
        """            posting.attempt_id = await self._store.arm(intent, self._wall(), posting.attempt_id)
            self.posts += 1
            call = await self._client.create(body, timeout)
""",
        """            self.posts += 1
            call = await self._client.create(body, timeout)
            posting.attempt_id = await self._store.arm(intent, self._wall(), posting.attempt_id)
""",
        (SEEDS,),
    ),
    Mutation(
        "an id is not stored before its interaction is polled",
        "engine/post.py",
        "                await self._store.submitted(attempt_id, interaction_id, self._wall())\n",
        "                pass\n",
        (SEEDS,),
    ),
    Mutation(
        "commits do not wait for the disk",
        "store/connect.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = NORMAL",
        (f"{_STORE}every_commit_reaches_the_disk",),
    ),
    Mutation(
        "the journal is in memory",
        "store/connect.py",
        "PRAGMA journal_mode = WAL",
        "PRAGMA journal_mode = MEMORY",
        (f"{_STORE}every_commit_reaches_the_disk",),
    ),
    Mutation(
        "an output's directory is not synced",
        "outputs/files.py",
        "            sync_directory(path.parent)\n",
        "",
        (_DURABILITY,),
    ),
    Mutation(
        "an output is renamed before it is synced",
        "outputs/files.py",
        "            os.fsync(descriptor)\n            draft.replace(path)\n",
        "            draft.replace(path)\n            os.fsync(descriptor)\n",
        (_DURABILITY,),
    ),
    Mutation(
        "media are not synced",
        "outputs/media_files.py",
        "        os.fsync(descriptor)\n        draft.replace(directory / name)\n",
        "        draft.replace(directory / name)\n",
        (_DURABILITY,),
    ),
    Mutation(
        "the directory of media is not synced",
        "outputs/media_files.py",
        "        yield\n        sync_directory(directory)\n",
        "        yield\n",
        (_DURABILITY,),
    ),
    Mutation(
        "the directories above a run are not synced",
        "runs/directory.py",
        "                sync_directory(made.parent)\n",
        "                pass\n",
        (_DURABILITY,),
    ),
    Mutation(
        "502 is taken for a refusal",
        "interactions/evidence.py",
        "413, 416, 422, 429})",
        "413, 416, 422, 429, 502})",
        (_EVIDENCE,),
    ),
    Mutation(
        "500 is taken for a refusal",
        "interactions/evidence.py",
        "413, 416, 422, 429})",
        "413, 416, 422, 429, 500})",
        (_EVIDENCE, SEEDS),
    ),
    Mutation(
        "a lost answer is taken for a request that was not sent",
        "interactions/client.py",
        "    return Lost(said, answered=isinstance(error, BodyTooLarge))",
        "    return NotSent(said)",
        (SEEDS,),
    ),
    Mutation(
        "what the server asks for is not waited for",
        "interactions/evidence.py",
        "    return max(known) if known else None",
        "    return None",
        (_EVIDENCE,),
    ),
    Mutation(
        "a process that was taken for dead goes on writing",
        "store/writer.py",
        "        if epoch != str(self.epoch):",
        "        if False:",
        (f"{_STORE}a_process_that_was_taken_for_dead_cannot_write_any_more",),
    ),
    Mutation(
        "a row may have two live attempts",
        "store/migrations.py",
        "CREATE UNIQUE INDEX one_live_attempt",
        "CREATE INDEX one_live_attempt",
        (f"{_STORE}sqlite_itself_refuses_a_second_live_post_for_a_row",),
    ),
    Mutation(
        "intents of a dead process are forgotten",
        "store/store.py",
        "WHERE state = 'intent' AND {OPEN}",
        "WHERE state = 'nothing' AND {OPEN}",
        (f"{_STORE}an_intent_of_a_dead_process_is_ambiguous_from_the_next_life_on",),
    ),
    Mutation(
        "intents of a dead process are taken for unsent",
        "store/store.py",
        "UPDATE attempt SET state = 'ambiguous', error_class = 'process_died'",
        "UPDATE attempt SET state = 'not_sent', error_class = 'process_died'",
        (SEEDS,),
    ),
    Mutation(
        "an unknown id is lost at once",
        "engine/polling.py",
        "NOT_FOUND_GRACE = 600.0",
        "NOT_FOUND_GRACE = 0.0",
        (_POLLING,),
    ),
    Mutation(
        "the ledger is told before the checkpoint",
        "store/writer.py",
        "            if told:\n                self._connection",
        "            if told:\n                self._tell(told)\n                self._connection",
        ("tests/engine/test_resume.py::test_death_at_every_commit_changes_no_answer_and_hides_no_payment",),
    ),
    Mutation(
        "the ledger is not synced",
        "store/ledger.py",
        "        os.fdatasync(self._file)\n",
        "",
        ("tests/store/test_ledger.py::test_the_ledger_reaches_the_disk_before_anybody_goes_on",),
    ),
    Mutation(
        "with a full disk everything is refused",
        "store/writer.py",
        "(self._full if write.begins else None)",
        "self._full",
        ("tests/store/test_ledger.py",),
    ),
    Mutation(
        "any interaction is taken for ours",
        "engine/polling.py",
        "    if interaction.id != interaction_id and (label is None or not intent_key):",
        "    if False:",
        (_POLLING,),
    ),
    Mutation(
        "late usage is not waited for",
        "engine/polling.py",
        "USAGE_GRACE = 60.0",
        "USAGE_GRACE = 0.0",
        (_POLLING,),
    ),
    Mutation(
        "one failed poll past the deadline ends the wait",
        "engine/polling.py",
        "        if now < self._deadline or self._failures < self._tries:",
        "        if now < self._deadline:",
        (_POLLING,),
    ),
    Mutation(
        "what is given up is not cancelled",
        "engine/wait.py",
        "        await self._client.cancel(attempt.interaction_id)\n",
        "",
        (f"{_ENGINE}a_row_that_is_given_up_is_cancelled_at_the_service",),
    ),
    Mutation(
        "an ambiguous POST is sent again without being counted",
        "engine/engine.py",
        "            self._resubmits_left -= 1\n",
        "",
        (f"{_ENGINE}the_allowance_for_paying_twice_is_kept_over_the_whole_run",),
    ),
    Mutation(
        "resubmissions of earlier lives are not counted",
        "engine/engine.py",
        "ambiguous.allowance(work.rows) - work.resubmits",
        "ambiguous.allowance(work.rows)",
        (f"{_ENGINE}the_allowance_is_not_renewed_by_starting_again",),
    ),
    Mutation(
        "held POSTs are sent again",
        "engine/engine.py",
        '        if wish == "resubmit" and self._resubmits_left',
        "        if self._resubmits_left",
        (f"{_ENGINE}hold_means_that_nothing_is_ever_paid_twice",),
    ),
    Mutation(
        "a new attempt does not supersede the old one",
        "engine/engine.py",
        "                        await self._store.supersede(talk.thrown_away(), self._wall())\n",
        "                        talk.thrown_away()\n",
        (f"{_ENGINE}a_post_of_unknown_fate_is_sent_again_once_and_counted",),
    ),
    Mutation(
        "a row ends before its attempt does",
        "store/store.py",
        "            _one(db, _GONE, (state, polls, end.kind, end.message, attempt_id))\n",
        "",
        (SEEDS,),
    ),
    Mutation(
        "failed interactions are always paid for again",
        "engine/conversation.py",
        "    if attempts_left > 0 and (error",
        "    if (error",
        (f"{_ENGINE}a_row_that_goes_wrong_is_one_outcome_and_the_others_run",),
    ),
    Mutation(
        "an answer is stored without its usage",
        "engine/keep.py",
        "            usage=answer.usage,\n",
        "            usage=None,\n",
        (SEEDS,),
    ),
    Mutation(
        "a function runs before that is on record",
        "engine/calls.py",
        """            await self._store.call_begins(attempt_id, position, call, self._wall())
            outcome = await self._toolbox.call(call.name, call.arguments)
""",
        """            outcome = await self._toolbox.call(call.name, call.arguments)
            await self._store.call_begins(attempt_id, position, call, self._wall())
""",
        (f"{_TALKS}death_at_every_commit",),
    ),
    Mutation(
        "a function that has run is run again by the next life",
        "engine/calls.py",
        "        if known is not None and known.ended_at is not None:",
        "        if False:",
        (f"{_TALKS}death_at_every_commit",),
    ),
    Mutation(
        "a stop cuts open POSTs off",
        "engine/engine.py",
        """        self.leaving = True
        for task in self._tasks - self._shelter.tasks:
""",
        """        self.leaving = True
        for task in self._tasks:
""",
        (f"{_ENGINE}the_first_signal_lets_open_posts_answer_though_the_run_leaves_already",),
    ),
    Mutation(
        "two runs may hold one directory",
        "store/lock.py",
        "                return fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "                return fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)",
        (f"{_STORE}the_lock_names_its_holder_and_goes_with_it", f"{_RESUME}two_runs_in_one_directory_do_not_meet"),
    ),
    Mutation(
        "a refusal holds only the row that met it",
        "engine/submit.py",
        "        self._pace.pause(seconds)\n",
        "",
        (f"{_ENGINE}an_outage_of_an_hour_is_met_with_few_posts",),
    ),
    Mutation(
        "a used-up day is tried again and again",
        "engine/retry.py",
        "(error.daily or ",
        "(False or ",
        ("tests/engine/test_retry.py",),
    ),
    Mutation(
        "a row that was sent may change under its results",
        "runs/intake.py",
        "        if not accept:\n            _refuse(opened, _told(collector, found))\n",
        "",
        (f"{_RESUME}a_changed_row_that_was_sent_stops_the_run_before_anything_is_sent",),
    ),
)
