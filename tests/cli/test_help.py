"""The help of the program fits a screen and leaves no command out; the topics are short, and true of the commands."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from batchrun.cli import commands
from batchrun.cli.grouping import GROUPS, Grouped, table
from batchrun.cli.topics import ALIASES, topics


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


def test_help_lists_its_topics_with_what_they_are_about() -> None:
    listed = said("help").splitlines()
    assert [line.split()[0] for line in listed[2:]] == list(topics())
    assert {"job-file", "templates", "money", "resume", "outcomes", "limits", "pipelines", "schedule"} <= set(topics())
    assert {"alerts", "daemon", "logs", "webhooks"} <= set(topics())


@pytest.mark.parametrize("topic", topics())
def test_a_topic_fits_a_screen(topic: str) -> None:
    lines = said("help", topic).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


def lines_of(text: str) -> Iterator[list[str]]:
    """The command lines that a topic shows: indented ones, and those in backticks."""
    for line in [
        *re.findall(r"^    (batchrun .*?)(?:   |$)", text, re.MULTILINE),
        *re.findall(r"`(batchrun [^`]+)`", text),
    ]:
        yield line.split()[1:]


@pytest.mark.parametrize("topic", topics())
def test_a_topic_shows_commands_and_options_that_there_are(topic: str) -> None:
    for words in lines_of(topics()[topic]):
        command: click.Command = commands
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        options = {option for param in command.params for option in param.opts} | {"--help"}
        assert {word for word in words if word.startswith("-")} <= options, words


def test_the_topics_show_most_of_what_a_beginner_needs() -> None:
    shown = {words[0] for text in topics().values() for words in lines_of(text)}
    assert {"init", "validate", "plan", "try", "run", "status", "show", "retry", "resolve", "tick", "schedule"} <= shown


def test_every_option_in_a_topic_is_one_of_some_command() -> None:
    known = {option for command in every(commands) for param in command.params for option in param.opts}
    named = {option for text in topics().values() for option in re.findall(r"(?<!\S|-)`?(--[a-z-]+)", text)}
    assert len(named) >= 6
    assert named <= known


def every(command: click.Command) -> Iterator[click.Command]:
    yield command
    for member in command.commands.values() if isinstance(command, click.Group) else ():
        yield from every(member)


def test_help_of_a_command_is_that_of_the_command() -> None:
    assert said("help", "tick") == said("tick", "--help")


def test_an_unknown_topic_is_answered_with_those_that_there_are() -> None:
    refused = said("help", "everything", code=2)
    assert "Topics: alerts, daemon, emulator, job-file" in refused
    assert "Did you mean" not in refused


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("schedul", "schedule"), ("alert", "alerts"), ("Logs", "logs"), ("crom", "cron"), ("tik", "tick")],
)
def test_a_topic_or_command_that_is_nearly_right_is_answered_with_what_was_meant(typed: str, meant: str) -> None:
    assert f"Did you mean '{meant}'?" in said("help", typed, code=2)


def test_a_topic_is_found_by_the_other_names_that_it_has() -> None:
    assert not set(ALIASES) & (set(topics()) | set(commands.commands))
    assert said("help", "cron") == said("help", "schedule")


def test_what_a_command_is_for_is_said_whole_where_a_shell_completes_it() -> None:
    texts = [command.get_short_help_str() for command in every(commands) if command is not commands]
    assert [text for text in texts if not text.endswith(".") or text.endswith("...") or len(text) > 45] == []


@pytest.mark.parametrize(
    "name", sorted(name for name, each in commands.commands.items() if isinstance(each, click.Group))
)
def test_the_commands_of_a_group_are_listed_in_whole_sentences_a_line_each(name: str) -> None:
    listed = CliRunner().invoke(commands, [name, "--help"], terminal_width=80).output
    lines = listed.partition("Commands:\n")[2].splitlines()
    group = commands.commands[name]
    assert isinstance(group, click.Group)
    assert [line.split()[0] for line in lines] == sorted(group.commands)
    assert all(line.endswith(".") and not line.endswith("...") for line in lines)
