"""The command `help`: short texts about concepts, a screen each, kept beside this file; and the help of commands."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from batchrun.cli.printing import say

#: Topics that are looked for by another name.
ALIASES = {"cron": "schedule"}


def topics() -> dict[str, str]:
    """The texts by name."""
    from importlib.resources import files

    found = sorted(files(__name__).iterdir(), key=lambda file: file.name)
    return {file.name.removesuffix(".md"): file.read_text("utf-8") for file in found if file.name.endswith(".md")}


def _names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name, help=_title(text)) for name, text in topics().items() if name.startswith(incomplete)]


@click.command("help", short_help="Explain a concept, or a command.")
@click.argument("topic", required=False, shell_complete=_names)
@click.pass_context
def help_(ctx: click.Context, topic: str | None) -> None:
    """Explain a concept on one screen, or list what can be explained; for a command, its help."""
    root, known = ctx.find_root(), topics()
    group = root.command
    assert isinstance(group, click.Group)
    if topic is None:
        say("\n".join(_listed(known)))
    elif (text := known.get(ALIASES.get(topic, topic))) is not None:
        say(text.removeprefix("# ").rstrip())
    elif command := group.get_command(root, topic):
        say(command.get_help(click.Context(command, parent=root, info_name=topic)))
    else:
        raise click.BadParameter(_unknown(topic, known, group.list_commands(root)))


def _unknown(topic: str, known: dict[str, str], commands: list[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(topic.lower(), dict.fromkeys([*known, *ALIASES, *commands]), 1, cutoff=0.7)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{topic!r} is neither a topic nor a command.{hint} Topics: {', '.join(known)}."


def _listed(known: dict[str, str]) -> list[str]:
    return ["batchrun help TOPIC", "", *(f"  {name:<12}{_title(text)}" for name, text in known.items())]


def _title(text: str) -> str:
    return text.splitlines()[0].removeprefix("# ")
