"""Completion in the shell: the command that prints the script, and what is offered for jobs, runs, slots and rows.

What a file or a row is called comes from outside, and shells put a completion into the line as it is. So only names
without a character that a shell knows are offered. Nothing of a job is run: its name is read from its file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from batchrun.cli.printing import write
from batchrun.errors import BatchrunError

#: Asks for completions, also of a program that is called otherwise.
VARIABLE = "_BATCHRUN_COMPLETE"
_SHELLS = ("bash", "zsh", "fish")
_JOB_FILES = {".yaml", ".yml", ".toml", ".json"}
_PLAIN = re.compile(r"[\w./@%+,][\w./@%+,-]*", re.ASCII)
_NAME = re.compile(r'^\s*[{"]*\s*"?name"?\s*[:=]\s*["\']?([A-Za-z0-9][\w.-]{0,62})', re.ASCII | re.MULTILINE)
_SLOT = re.compile(r"\d{4}-\d\d-\d\dT\d{4}Z", re.ASCII)
_MOST = 200
#: What click's scripts say of a completion, and what ours do: after `limits.rpm=` comes a value, not a space.
_ENDS = {
    "bash": ("COMPREPLY+=($value)", "COMPREPLY+=($value); [[ $value == *= ]] && compopt -o nospace"),
    "zsh": (
        "compadd -U -V unsorted -a completions",
        """if [[ $completions[1] == *= ]]; then
            compadd -U -S '' -V unsorted -a completions
        else
            compadd -U -V unsorted -a completions
        fi""",
    ),
    "fish": ("", ""),
}


@click.command(short_help="Print what makes a shell complete commands.")
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print the script that makes a shell complete commands, options, job files, runs, slots and rows.

    For bash and zsh put `source <(batchrun completion bash)` (or zsh, after compinit) into the shell's start file.
    For fish: `batchrun completion fish > ~/.config/fish/completions/batchrun.fish`.
    """
    root = click.get_current_context().find_root().command
    made = get_completion_class(shell)
    assert made is not None
    write(made(root, {}, "batchrun", VARIABLE).source().replace(*_ENDS[shell]))


def jobs(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Job files, and directories in which there may be some; any file where there is no job file."""
    found = [str(path) for path in _beginning_with(incomplete) if path.suffix in _JOB_FILES and path.is_file()]
    return [CompletionItem(incomplete, type="dir" if found else "file"), *_items(found)]


def run_dirs(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Directories, and first of all those of runs beside the job, or here if no job is known yet."""
    base: Path = (ctx.params.get("job") or Path("job")).parent
    found = [str(path.parent) for path in sorted(base.glob("runs/*/run.db"))]
    return [CompletionItem(incomplete, type="dir"), *_items(path for path in found if path.startswith(incomplete))]


def slots(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The slots of the job that have a run, the latest first."""
    with suppress(OSError):
        names = (path.parent.name for path in _run(ctx).glob("*/run.db"))
        begun = (name for name in names if _SLOT.fullmatch(name) and name.startswith(incomplete))
        return _items(sorted(begun, reverse=True)[:_MOST])
    return []


def rows(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Keys of the run's rows."""
    with suppress(BatchrunError, OSError):
        return _items(_keys(ctx, incomplete))
    return []


def limits(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The limits that can be set of a run that goes on, and of its stages."""
    from batchrun.runs.settings import OF_RUN, OF_STAGE

    names = [f"limits.{name}" for name in OF_RUN]
    with suppress(BatchrunError, OSError):
        stages = [stage for stage in _stages(ctx) if _PLAIN.fullmatch(stage)]
        names += [f"stages.{stage}.limits.{name}" for stage in stages for name in OF_STAGE]
    return [CompletionItem(f"{name}=") for name in names if name.startswith(incomplete)]


def _items(values: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(value) for value in values if _PLAIN.fullmatch(value)]


def _beginning_with(incomplete: str) -> Iterator[Path]:
    """What is in the directory that is being typed, by the beginning of its name. Hidden files if that is meant."""
    folder, _, begun = incomplete.rpartition("/")
    with suppress(OSError):
        for path in sorted(Path(f"{folder}/" if "/" in incomplete else ".").iterdir()):
            if path.name.startswith(begun) and (begun or not path.name.startswith(".")):
                yield path


def _keys(ctx: click.Context, incomplete: str) -> list[str]:
    from batchrun.store.reader import Reader

    with Reader(_run(ctx) / "run.db") as reader:
        query = "SELECT key FROM row WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
        return [key for (key,) in reader.connection.execute(query, (incomplete, f"{incomplete}\U0010ffff", _MOST))]


def _stages(ctx: click.Context) -> list[str]:
    from batchrun.store.damage import explained
    from batchrun.store.reader import Reader
    from batchrun.store.tally import stages_of

    path = _run(ctx) / "run.db"
    with explained(path), Reader(path) as reader:
        return stages_of(reader)


def _run(ctx: click.Context) -> Path:
    """The directory of the run that the line is about, as far as it is typed. Raises OSError without a job's name."""
    if chosen := ctx.params.get("run_dir"):
        return Path(chosen)
    job: Path = ctx.params.get("job") or Path(*ctx.args[:1])  # where an option's value is asked for, nothing is parsed
    if job.is_dir():
        return job
    named = _NAME.search(job.read_text(errors="replace"))
    name = named[1] if named else job.stem
    paid, emulated = (job.parent / "runs" / f"{name}{suffix}" for suffix in ("", ".emulated"))
    return emulated if ctx.params.get("emulator") or not paid.exists() else paid
