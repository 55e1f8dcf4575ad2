"""What a reader makes of one row before it has a key."""

from __future__ import annotations

from typing import Any, NamedTuple

from batchrun.rows import Problem


class Draft(NamedTuple):
    """One row as read. `sha` is given where there is no data to take it from."""

    name: str
    number: int
    data: dict[str, Any] | None
    problem: Problem | None = None
    sha: str = ""
    mark: str = ":"

    @property
    def source(self) -> str:
        """`file:line`, or `file#row` in Parquet; the file alone where it is the row."""
        return f"{self.name}{self.mark}{self.number}" if self.mark else self.name
