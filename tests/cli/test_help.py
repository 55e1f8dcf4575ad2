"""The help of the program fits a screen and leaves no command out; the topics are short, and true of the commands."""

from __future__ import annotations

import click
from click.testing import CliRunner

from batchrun.cli import commands
from batchrun.cli.grouping import GROUPS, Grouped, table


def said(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(commands, list(arguments), prog_name="batchrun")
    assert result.exit_code == code, result.output
    return result.output


def test_the_help_fits_a_screen_of_24_lines_and_80_columns() -> None:
    lines = said("--help").splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


def test_the_help_fits_with_every_command_that_the_table_names() -> None:
    everything = [name for lines in GROUPS.values() for names, _ in lines for name in names]
    assert len(set(everything)) == len(everything)
    assert max(len(line) for line in table(everything)) <= 80


def test_every_command_has_its_place_in_the_help() -> None:
    placed = {name for lines in GROUPS.values() for names, _ in lines for name in names}
    assert set(commands.commands) - placed == set(), "give these a line in cli/grouping.py"
    assert all(name in said("--help") for name in commands.commands)


def test_a_command_without_a_place_is_shown_all_the_same() -> None:
    group = Grouped("tool", commands={"run": click.Command("run"), "new": click.Command("new")}, help="A tool.")
    lines = CliRunner().invoke(group, ["--help"]).output.splitlines()
    assert any(line.split() == ["Others", "new"] for line in lines)
