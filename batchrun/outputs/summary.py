"""`run.json`: the totals of a run, the same that `--json` prints. They must add up."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from batchrun.errors import InvariantError
from batchrun.outputs.counts import total_usage
from batchrun.outputs.files import write_whole
from batchrun.rows import Outcome
from batchrun.store.charges import charged_usd
from batchrun.store.reader import Reader
from batchrun.store.tally import stage_tallies, tally_of

#: Where a row can stand, in the order in which people are told.
CLASSES = (*(str(outcome) for outcome in Outcome), "pending")


@dataclass(frozen=True)
class Summary:
    """Where every row stands and what was spent, over the whole run.

    `gone` rows have left the input and are in no other count of rows; their attempts and usage are counted.
    `in_flight` counts the pending rows whose interaction is under way, `usage` is `counts.total_usage`, `errors`
    counts rows by error class, `function_errors` the `function_calls` that gave the model an error. `charged_usd` is
    what counts against `limits.max_cost`: what is spent, and what POSTs whose usage is not known may have cost; None if
    the run never had such a limit. `posts_this_run` and `elapsed_s` are this process's own.

    `stages` has the rows of each stage of a pipeline as `tally.stage_tallies` counts them.

    `directory` is the run directory as it was when the files were written: it may be moved or copied.
    `sha256` has the hex SHA-256 of each output file, `state` changes with the checkpoint that they were made of.
    """

    run_id: str
    job: str
    rows: int
    succeeded: int
    failed: int
    invalid_output: int
    incomplete: int
    blocked: int
    awaiting_approval: int
    ambiguous: int
    skipped: int
    pending: int
    in_flight: int
    attempts: int
    posts: int
    posts_this_run: int
    polls: int
    possibly_billed_twice: int
    usage: dict[str, int | None]
    errors: dict[str, int]
    elapsed_s: float
    outputs: dict[str, Path]
    stages: dict[str, dict[str, int]] = field(default_factory=dict)
    gone: int = 0
    function_calls: int = 0
    function_errors: int = 0
    charged_usd: float | None = None
    directory: str = ""
    sha256: dict[str, str] = field(default_factory=dict)
    state: str = ""

    @property
    def unusable(self) -> int:
        """Rows that ended without a usable answer, and with no doubt about what they cost."""
        return self.failed + self.invalid_output + self.incomplete + self.blocked

    @property
    def held(self) -> int:
        """Rows that wait for a word of the user's."""
        return self.ambiguous + self.awaiting_approval

    def verify(self) -> None:
        """Raises InvariantError unless every row is counted in exactly one class."""
        counts = {name: int(getattr(self, name)) for name in CLASSES}
        if sum(counts.values()) != self.rows or min(counts.values()) < 0:
            shown = " + ".join(f"{count} {name}" for name, count in counts.items())
            raise InvariantError(f"run {self.run_id!r}: {shown} is not {self.rows} rows; please report this")

    def document(self) -> dict[str, Any]:
        """The summary as JSON values."""
        return {**asdict(self), "outputs": {name: str(path) for name, path in self.outputs.items()}}

    def write(self, path: Path) -> None:
        """Replaces `path` (`run.json`) by this summary. Raises InvariantError, StoreError."""
        self.verify()
        write_whole(
            path, json.dumps(self.document(), indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        )


def located(written: dict[str, Any], directory: Path) -> dict[str, Path]:
    """The output files that a `run.json` names, for the run directory that it stands in now.

    Raises KeyError, TypeError, AttributeError where it is none.
    """
    before = Path(written.get("directory") or directory)
    paths = {name: Path(path) for name, path in written["outputs"].items()}
    return {
        name: directory / path.relative_to(before) if path.is_relative_to(before) else path
        for name, path in paths.items()
    }


def summarize(
    reader: Reader,
    *,
    posts: int = 0,
    elapsed: float = 0.0,
    outputs: dict[str, Path] | None = None,
    hashes: dict[str, str] | None = None,
    directory: str = "",
) -> Summary:
    """Where every row of the run stands; `posts` and `elapsed` (seconds) are this process's own."""
    tally = tally_of(reader)
    return Summary(
        run_id=reader.meta("run_id") or "",
        job=reader.meta("job") or "",
        rows=tally.rows,
        **{name: tally.outcomes.get(name, 0) for name in CLASSES},
        in_flight=reader.count_in_flight(),
        attempts=tally.attempts,
        posts=tally.posts,
        posts_this_run=posts,
        polls=tally.polls,
        possibly_billed_twice=tally.possibly_billed_twice,
        usage=total_usage(reader.attempts()),
        errors=tally.errors,
        elapsed_s=round(elapsed, 3),
        outputs=outputs or {},
        stages={name: counts for name, counts in stage_tallies(reader).items() if name},
        gone=tally.gone,
        function_calls=tally.function_calls,
        function_errors=tally.function_errors,
        charged_usd=charged_usd(reader),
        sha256=hashes or {},
        directory=directory,
        state=reader.state_mark(),
    )
