"""The help of the whole program on one screen: commands in groups, those that belong together on one line.

This table is the one place that says where a command stands. A command that is not in it is shown at the end, and
found by a test.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

#: Groups of lines: commands, and what they are for. A name that no command has is left out.
GROUPS: dict[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    "Start": (
        (("init", "schema"), "a job file that works; its JSON Schema"),
        (("validate", "plan", "graph"), "check a job; what it would send; its stages"),
        (("try",), "one row by itself, with its answer"),
    ),
    "Run": (
        (("run",), "run a job, or go on where it stopped"),
        (("tick", "retry"), "a moment of it, for cron; failed rows anew"),
    ),
    "Look": (
        (("status", "watch", "tail"), "where a run stands, now and as it goes"),
        (("runs", "show"), "runs below a directory; all about one row"),
        (("cost", "verify"), "what it has cost; whether its books add up"),
    ),
    "Steer": (
        (("pause", "resume", "set"), "hold a run that goes on; change its limits"),
        (("drain", "detach"), "end it early: with its answers, or at once"),
    ),
    "Schedule": ((("schedule",), "next times; cron, systemd, Kubernetes"),),
    "After a run": (
        (("resolve", "approve"), "rows that wait for your word"),
        (("export", "download"), "output files anew; files that agents made"),
        (("cancel", "purge"), "stop or delete interactions at the service"),
        (("files", "recover"), "uploaded files; a checkpoint that was lost"),
    ),
    "Service": ((("emulator",), "the API on this machine, answers made up"),),
    "Help": ((("help", "completion"), "concepts (`help money`); for your shell"),),
}

_TITLE, _NAMES = 13, 24


class Grouped(click.Group):
    """A group of commands whose help is a table of GROUPS."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Usage, a sentence, the table, the options: a screen of 80 columns."""
        first, _, more = inspect.cleandoc(self.help or "").partition("\n\n")
        options = [option for option in self.get_params(ctx) if isinstance(option, click.Option)]
        lines = [
            f"Usage: {ctx.command_path} COMMAND [OPTIONS] [ARGS]  (COMMAND --help tells more)",
            f"{first}\n",
            *table(self.list_commands(ctx)),
            _line("Options", [opt for option in options for opt in option.opts], "") + f"\n{more}\n",
        ]
        formatter.write("\n".join(lines))


def _line(title: str, names: list[str], text: str) -> str:
    return f"{title:<{_TITLE}}{', '.join(names):<{_NAMES}}{text}".rstrip()


def table(names: list[str]) -> Iterator[str]:
    """The lines for commands of these names."""
    grouped = {name for lines in GROUPS.values() for line, _ in lines for name in line}
    others = ((tuple(name for name in names if name not in grouped), ""),)
    for title, lines in [*GROUPS.items(), ("Others", others)]:
        said = title
        for line, text in lines:
            if known := [name for name in line if name in names]:
                yield _line(said, known, text)
                said = ""
