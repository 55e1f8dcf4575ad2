"""What `status` and the summary count, from the truth itself."""

from __future__ import annotations

import json
from dataclasses import dataclass

from batchrun.store.migrations import OPEN
from batchrun.store.reader import PRESENT, Reader

_IN_FLIGHT = f"SELECT row_id FROM attempt WHERE state = 'submitted' AND {OPEN} AND superseded_at IS NULL"


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over a whole checkpoint: rows by outcome, attempts by state, failed rows by error class.

    `gone` rows have left the input: they are in no other count of rows, and their attempts are in those of attempts.

    `possibly_billed_twice` are ambiguous POSTs whose row was sent again, `resubmits` those of them that the job's
    policy allowed; the user asked for the others. `function_errors` of the `function_calls` that have ended gave the
    model an error.
    """

    rows: int
    outcomes: dict[str, int]
    states: dict[str, int]
    errors: dict[str, int]
    attempts: int
    posts: int
    polls: int
    possibly_billed_twice: int
    resubmits: int
    gone: int
    function_calls: int
    function_errors: int


def tally_of(reader: Reader) -> Tally:
    """The counts of the checkpoint as it is."""
    found = reader.connection.execute
    states = found("SELECT state, count(*), sum(posts), sum(polls) FROM attempt GROUP BY 1").fetchall()
    possibly_twice, resubmits = found(
        f"""SELECT count(*), total(superseded_by = 'policy') FROM attempt
            WHERE state = 'ambiguous' AND superseded_by NOT NULL AND {OPEN}"""
    ).fetchone()
    outcomes = outcomes_of(reader)
    errors = f"""SELECT error_class, count(*) FROM row WHERE error_class NOT NULL AND outcome != 'skipped' AND {PRESENT}
                 GROUP BY 1"""
    calls, failed = found("SELECT count(*), total(is_error) FROM tool_call WHERE ended_at NOT NULL").fetchone()
    return Tally(
        rows=sum(outcomes.values()),
        outcomes=outcomes,
        states={state: count for state, count, _, _ in states},
        errors=dict(found(errors).fetchall()),
        attempts=sum(count for _, count, _, _ in states),
        posts=sum(posts for _, _, posts, _ in states),
        polls=sum(polls for _, _, _, polls in states),
        possibly_billed_twice=possibly_twice,
        resubmits=int(resubmits),
        gone=found(f"SELECT count(*) FROM row WHERE NOT {PRESENT}").fetchone()[0],
        function_calls=calls,
        function_errors=int(failed),
    )


def outcomes_of(reader: Reader) -> dict[str, int]:
    """Rows by outcome; those without one are `pending`."""
    query = f"SELECT coalesce(outcome, 'pending'), count(*) FROM row WHERE {PRESENT} GROUP BY 1"
    return dict(reader.connection.execute(query).fetchall())


def stage_tallies(reader: Reader) -> dict[str, dict[str, int]]:
    """Rows of each stage by outcome; those without one are `in_flight` at the service, or else `pending`.

    They are in the order of the job. A row is in one count only, and one that has left the input, or what it followed
    from, is in none. The rows of a job without stages are those of the stage "".
    """
    query = f"""SELECT stage, coalesce(outcome, iif(id IN ({_IN_FLIGHT}), 'in_flight', 'pending')), count(*)
                FROM row WHERE {PRESENT} GROUP BY 1, 2"""
    found: dict[str, dict[str, int]] = {stage: {} for stage in stages_of(reader)}
    for stage, standing, count in reader.connection.execute(query):
        found.setdefault(stage, {})[standing] = count
    return {stage: counts for stage, counts in found.items() if counts}


def stages_of(reader: Reader) -> list[str]:
    """The stages in the order of the job, as the run has noted what it asks."""
    names = json.loads(reader.meta("request_parts") or "{}")
    return list(dict.fromkeys(name.split(".")[1] for name in names if name.startswith("stages.")))
