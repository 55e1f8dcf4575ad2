"""The job files that the daemon looks after: which there are, and what has changed of them.

Only the files themselves are read. Nothing of the user's runs here: that is for the child processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batchrun.errors import SpecError
from batchrun.runs.directory import runs_called
from batchrun.spec.alerting import AlertsSpec
from batchrun.spec.load import base_of, scheduled_spec
from batchrun.spec.scheduling import ScheduleSpec

SUFFIXES = frozenset({".yaml", ".yml", ".toml", ".json"})
_LARGEST = 1024 * 1024
#: Seconds for which the daemon waits for another process to let go of a job's record: all other jobs wait too.
PATIENCE = 1.0

#: Tells a file from an edited one.
Version = tuple[int, int, int]


@dataclass(frozen=True)
class JobFile:
    """A scheduled job as its file says, in one version of it. `home` is where its slots' runs and their record are."""

    path: Path
    name: str
    schedule: ScheduleSpec
    home: Path
    version: Version
    alerts: AlertsSpec | None = None


@dataclass(frozen=True)
class Problem:
    """A file that cannot be used, and why."""

    path: Path
    text: str


#: A job, what is wrong with it, or None for a file that is none of ours.
Content = JobFile | Problem | None


@dataclass
class JobFiles:
    """The scheduled jobs among `places`: files, and directories of files (not those in directories below them)."""

    places: Sequence[Path]
    overrides: Sequence[str] = ()
    emulated: bool = False
    _known: dict[Path, tuple[Version, Content]] = field(default_factory=dict)
    _told: set[Problem] = field(default_factory=set)

    def look(self) -> tuple[dict[Path, JobFile], list[Problem]]:
        """The jobs as they are now, and the problems that are new since the last look."""
        found = {path: self._content(path) for path in dict.fromkeys(self._paths())}
        self._known = {path: known for path, known in self._known.items() if path in found}
        contents = list(_told_apart(found.values()))
        problems = {each for each in contents if isinstance(each, Problem)}
        new, self._told = problems - self._told, problems
        jobs = {each.path: each for each in contents if isinstance(each, JobFile)}
        return jobs, sorted(new, key=lambda each: each.path)

    def _paths(self) -> Iterator[Path]:
        for place in self.places:
            if place.is_dir():
                yield from sorted(path for path in place.iterdir() if _may_be_a_job(path))
            else:
                yield place

    def _content(self, path: Path) -> Content:
        try:
            status = path.stat()
        except OSError as error:
            return Problem(path, f"{path}: cannot be read: {error.strerror}") if path in self.places else None
        version = (status.st_mtime_ns, status.st_size, status.st_ino)
        if path not in self._known or self._known[path][0] != version:
            self._known[path] = (version, self._read(path, version))
        return self._known[path][1]

    def _read(self, path: Path, version: Version) -> Content:
        try:
            spec = scheduled_spec(path, self.overrides)
        except SpecError as error:
            return Problem(path, str(error))
        if spec is None or spec.schedule is None:
            return Problem(path, f"{path}: the job has no `schedule`") if path in self.places else None
        home = runs_called(spec.name, base_of(path), emulated=self.emulated)
        return JobFile(path, spec.name, spec.schedule, home, version, spec.alerts)


def _may_be_a_job(path: Path) -> bool:
    try:
        is_file = path.is_file() and path.stat().st_size <= _LARGEST
    except OSError:
        return False
    return is_file and path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _told_apart(contents: Iterable[Content]) -> Iterator[Content]:
    """Of jobs with the same name in one directory, which would have the same runs, only the first."""
    homes: dict[Path, Path] = {}
    for content in contents:
        if isinstance(content, JobFile) and homes.setdefault(content.home, content.path) != content.path:
            said = f"{content.path}: name: {homes[content.home]} is called {content.name!r} too; this one is left alone"
            yield Problem(content.path, said)
        else:
            yield content
