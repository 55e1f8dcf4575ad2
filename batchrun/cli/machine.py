"""How a job is ticked on this machine or in a pod: paths, program and user, for `schedule emit`."""

from __future__ import annotations

import grp
import os
import pwd
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchrun.errors import SpecError

if TYPE_CHECKING:
    from batchrun.schedule.emit.ticking import Ticking
    from batchrun.spec.load import Job

_SYSTEM_KEY = Path("/etc/batchrun/gemini.key")


@dataclass(frozen=True)
class TickChoice:
    """What the user chose for the ticks of a job. `arguments` are for `tick`; paths as they were typed."""

    every: int
    arguments: tuple[str, ...] = ()
    run_dir: Path | None = None
    user: str | None = None
    key_file: Path | None = None
    log: Path | None = None
    program: Path | None = None


def on_this_machine(job: Job, choice: TickChoice, *, system: bool) -> Ticking:
    """The job as cron, or (`system`) systemd ticks it here. Raises SpecError for a user who is not here."""
    from batchrun.schedule.emit.ticking import Ticking

    user, run_dir = _user(choice.user), choice.run_dir and choice.run_dir.absolute()
    key_file = choice.key_file or (_SYSTEM_KEY if system else Path(user.pw_dir) / ".config/batchrun/gemini.key")
    base, state = job.base.absolute(), _state(user)
    return Ticking(
        name=job.spec.name,
        job=str(base / job.path.name),
        every=choice.every,
        arguments=(*(("--run-dir", str(run_dir)) if run_dir else ()), *choice.arguments),
        key_file=str(key_file.absolute()),
        state=str(state),
        program=_program(choice.program),
        writes=_outermost([base, state, *([run_dir] if run_dir else []), *_outputs(job)]),
        log=str((choice.log or base / f"{job.spec.name}.log").absolute()),
        user=user.pw_name,
        group=grp.getgrgid(user.pw_gid).gr_name,
    )


def in_a_pod(job: Job, choice: TickChoice) -> Ticking:
    """The job as a container ticks it whose volume is the job's directory. Raises SpecError for a run elsewhere."""
    from batchrun.schedule.emit.kubernetes import DATA, KEY, SECRETS
    from batchrun.schedule.emit.ticking import Ticking

    run_dir = choice.run_dir and _below(choice.run_dir.absolute(), job.base.absolute())
    return Ticking(
        name=job.spec.name,
        job=f"{DATA}/{job.path.name}",
        every=choice.every,
        arguments=(*(("--run-dir", f"{DATA}/{run_dir}") if run_dir else ()), *choice.arguments),
        key_file=f"{SECRETS}/{KEY}",
        state=f"{DATA}/.batchrun",
    )


def _below(path: Path, base: Path) -> Path:
    if not path.is_relative_to(base):
        raise SpecError(f"--run-dir {path}: the container's volume holds {base}; name a directory in it.")
    return path.relative_to(base)


def _user(name: str | None) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name) if name else pwd.getpwuid(os.geteuid())
    except KeyError:
        raise SpecError(f"--user {name or os.geteuid()}: this machine has no such user.") from None


def _state(user: pwd.struct_passwd) -> Path:
    """Where the user keeps the list of uploads when batchrun is run by hand."""
    from batchrun.store.files import state_directory

    mine = user.pw_uid == os.geteuid()
    return state_directory(os.environ).absolute() if mine else Path(user.pw_dir) / ".local/state/batchrun"


def _program(chosen: Path | None) -> tuple[str, ...]:
    """The program that runs now, in words that need no PATH."""
    beside = Path(sys.executable).parent / "batchrun"
    for path in [chosen] if chosen else [Path(sys.argv[0]), beside]:
        if chosen or (path.name == "batchrun" and os.access(path, os.X_OK) and path.is_file()):
            return (str(path.absolute()),)
    return (sys.executable, "-m", "batchrun")


def _outputs(job: Job) -> list[Path]:
    return [job.base.absolute() / job.spec.output.dir] if job.spec.output.dir else []


def _outermost(paths: list[Path]) -> tuple[str, ...]:
    """Those that are in no other, each once."""
    normal = [Path(os.path.normpath(path)) for path in dict.fromkeys(paths)]
    return tuple(str(path) for path in dict.fromkeys(normal) if not set(path.parents) & set(normal))
