"""What the daemon says of itself and of slots: one frozen value a line, given to a callable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from batchrun.daemon.jobs import JobFile
from batchrun.schedule.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Message:
    """One line. `action` names its kind for programs; `bad` is True where something is wrong, or was left out."""

    action: str
    text: str
    job: str = ""
    slot: str = ""
    state: str = ""
    bad: bool = False


Tell = Callable[[Message], None]
#: Told each verdict once, right after it was written down: also of slots that are skipped or passed over.
OnVerdict = Callable[[JobFile, Verdict], None]


def ignore(_job: JobFile, _verdict: Verdict) -> None:
    """Does not look."""
