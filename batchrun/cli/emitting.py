"""The command `schedule emit`: files for what is to tick a job."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchrun.cli import options
from batchrun.cli.printing import note, say, write
from batchrun.cli.quantities import Time
from batchrun.errors import SpecError, StoreError

if TYPE_CHECKING:
    from batchrun.cli.machine import TickChoice
    from batchrun.schedule.emit.ticking import Ticking
    from batchrun.spec.load import Job

#: Kubernetes ends a Job after an hour, so a tick there stops sending before.
_POD_TIME = "50m"
_TARGETS = click.Choice(["crontab", "systemd", "kubernetes"])
#: Where each has the variables of a tick.
_ENVIRONMENTS = {
    "crontab": "put NAME=VALUE lines above it into the crontab.",
    "systemd": "put NAME=VALUE lines into a file (mode 0600) that `systemctl edit` names: EnvironmentFile=PATH.",
    "kubernetes": "add them to the container's `env`, from a Secret.",
}


def _time_as_typed(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """For `tick`, which is not there to be asked."""
    if value is not None:
        Time().convert(value, option, context)
    return value


@click.command(short_help="Files for cron, systemd or Kubernetes.")
@options.job
@click.option("--for", "target", required=True, type=_TARGETS, help="What is to tick the job.")
@options.overrides
@options.run_dir
@click.option("--emulator", is_flag=True, help="Rehearse on an emulator; costs nothing.")
@options.base_url("Another address of the service, as in `tick`.")
@click.option(
    "--max-time", metavar="TIME", callback=_time_as_typed, help="As in `tick`. For Kubernetes 50m if nothing is said."
)
@click.option("--every", type=Time(), default="5m", show_default=True, metavar="TIME", help="Time between two ticks.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write files into this directory.")
@click.option("--user", metavar="NAME", help="Who runs the ticks.  [default: you]")
@click.option("--key-file", type=click.Path(path_type=Path), help="File with the API key, mode 0600.")
@click.option("--log", type=click.Path(path_type=Path), help="Log of cron's ticks.  [default: NAME.log beside the job]")
@click.option("--program", type=click.Path(path_type=Path), help="The batchrun to start.  [default: this one]")
@click.option("--image", default="batchrun:latest", show_default=True, help="Container image, for Kubernetes.")
@click.option("--secret", default="batchrun", show_default=True, help="Kubernetes Secret with the API key.")
def emit(
    job: Path,
    target: str,
    overrides: tuple[str, ...],
    run_dir: Path | None,
    emulator: bool,
    base_url: str | None,
    max_time: str | None,
    every: float,
    out: Path | None,
    user: str | None,
    key_file: Path | None,
    log: Path | None,
    program: Path | None,
    image: str,
    secret: str,
) -> None:
    """Print what cron, systemd or Kubernetes needs to run a job by its schedule; with --out write it into files.

    All of them start `batchrun tick` every few minutes. The tick decides by the job's schedule what is due, in its time
    zone, and collects answers in between. No text holds the API key: it names a file that does.
    """
    from batchrun.cli.machine import TickChoice
    from batchrun.spec.load import load_job

    loaded = load_job(job, overrides)
    if target == "kubernetes":
        max_time = max_time or _POD_TIME
    arguments = tuple(_arguments(overrides, {"--base-url": base_url, "--max-time": max_time}, emulator))
    choice = TickChoice(_every(loaded, every), arguments, run_dir, user, key_file, log, program)
    ticking = _ticking(loaded, target, choice)
    files = _files(ticking, target, image, secret)
    if out is None:
        write(_printed(files, target))
    else:
        _save(files, out)
    steps = _steps(list(files), out, target) if out is not None else ()
    beside = _beside(loaded, ticking, secret) if out is not None and target == "kubernetes" else ()
    for line in (*_lacking(ticking, target), *_unset(loaded, target, emulator), *steps, *beside):
        note(line)


def _arguments(overrides: tuple[str, ...], given: Mapping[str, str | None], emulator: bool) -> Iterator[str]:
    """Options for `tick`."""
    for setting in overrides:
        yield from ("--set", setting)
    for option, value in given.items():
        if value:
            yield from (option, value)
    if emulator:
        yield "--emulator"


def _every(job: Job, seconds: float) -> int:
    """The minutes between two ticks. Raises SpecError for a job without a schedule, and for ticks that are too rare."""
    from batchrun.runs.scheduled import scheduled
    from batchrun.runs.slot_ticks import GRACE
    from batchrun.schedule.emit.ticking import minutes_of

    spec = scheduled(job)
    try:
        minutes = minutes_of(seconds)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--every") from None
    if spec.catch_up == "none" and minutes * 60 > GRACE.total_seconds():
        raise SpecError(
            f"{job.path}: with `catch_up: none` a slot that a tick finds more than an hour after its time is missed; "
            "write a shorter --every, or let `catch_up` be `latest`."
        )
    return minutes


def _ticking(job: Job, target: str, choice: TickChoice) -> Ticking:
    from batchrun.cli.machine import in_a_pod, on_this_machine

    return in_a_pod(job, choice) if target == "kubernetes" else on_this_machine(job, choice, system=target == "systemd")


def _files(job: Ticking, target: str, image: str, secret: str) -> Mapping[str, str]:
    from batchrun.schedule.emit import crontab, kubernetes, systemd

    if target == "kubernetes":
        return kubernetes.files(job, image, secret)
    return crontab.files(job) if target == "crontab" else systemd.files(job)


def _printed(files: Mapping[str, str], target: str) -> str:
    """All of them as one text. For a crontab it may be put into one: the rest is a comment."""
    main, *others = files.values()
    if target == "crontab":
        return main + "".join(f"# For /etc/logrotate.d:\n{_commented(text)}" for text in others)
    return "\n".join(f"# {name}\n{text}" for name, text in files.items()) if others else main


def _commented(text: str) -> str:
    return "".join(f"#   {line}\n" for line in text.splitlines())


def _save(files: Mapping[str, str], where: Path) -> None:
    """Raises StoreError where the disk or the directory refuses."""
    try:
        where.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (where / name).write_text(text, encoding="utf-8")
            (where / name).chmod(0o644)  # nothing in it is secret, and systemd complains of what others cannot read
            say(f"wrote {where / name}")
    except OSError as error:
        raise StoreError(f"{where}: cannot be written to: {error.strerror}.") from error


def _lacking(job: Ticking, target: str) -> Iterator[str]:
    """What has to be on this machine, and is not."""
    if target == "kubernetes":
        return
    key, missing = Path(job.key_file), [path for path in job.writes if not Path(path).is_dir()]
    if not os.path.lexists(key):
        install = shlex.join(["install", "-D", "-m", "600", "/dev/stdin", str(key)])
        yield f"Put the API key into {key}: {install} (paste it, then Enter and Ctrl-D)"
    elif os.access(key, os.R_OK) and key.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield f"warning: others may read the API key: {shlex.join(['chmod', '600', str(key)])}"
    if missing and target == "systemd":
        yield f"Make what it writes into: {shlex.join(['install', '-d', '-m', '700', '-o', job.user, *missing])}"


def _unset(job: Job, target: str, emulator: bool) -> Iterator[str]:
    """Variables in addresses of alerts: what ticks the job has an environment of its own. Rehearsals tell nobody."""
    from batchrun.spec.alerting import VARIABLE

    targets = job.spec.alerts.to if job.spec.alerts is not None and not emulator else []
    names = dict.fromkeys(name for each in targets for name in VARIABLE.findall(each.webhook or each.ping or ""))
    if names:
        yield f"Its alerts need {', '.join(names)}, and without them no slot begins: {_ENVIRONMENTS[target]}"


def _steps(names: list[str], where: Path, target: str) -> Iterator[str]:
    """How the files are put to work."""
    paths = [shlex.quote(str(where / name)) for name in names]
    if target == "crontab":
        yield f"Put it to work: (crontab -l; cat {paths[0]}) | crontab -"
        yield f"And its log: sudo install -m 644 {paths[1]} /etc/logrotate.d/{Path(names[1]).stem}"
    elif target == "systemd":
        yield f"Put it to work: sudo install -m 644 {' '.join(paths)} /etc/systemd/system"
        yield f"Then: sudo systemctl daemon-reload && sudo systemctl enable --now {names[1]}"
    else:
        yield f"Put it to work: kubectl apply -f {paths[0]}"


def _beside(job: Job, ticking: Ticking, secret: str) -> Iterator[str]:
    """What a cluster needs besides the manifest: the key, and the job's files."""
    from batchrun.schedule.emit.kubernetes import DATA, key_command, name

    packed = f"(cd {shlex.quote(str(job.base))} && tar -cf - *)"
    yield f"Its key: {key_command(secret)}"
    yield f"Its files, through any POD that mounts the claim {name(ticking)} at {DATA}, as user 1000:"
    yield f"  {packed} | kubectl exec -i POD -- tar -xf - -C {DATA}"
