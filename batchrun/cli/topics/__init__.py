"""The command `help`: short texts about concepts, a screen each, kept beside this file; and the help of commands."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from batchrun.cli.printing import say


def topics() -> dict[str, str]:
    """The texts by name."""
    from importlib.resources import files

    found = sorted(files(__name__).iterdir(), key=lambda file: file.name)
    return {file.name.removesuffix(".md"): file.read_text("utf-8") for file in found if file.name.endswith(".md")}


def _names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name, help=_title(text)) for name, text in topics().items() if name.startswith(incomplete)]


@click.command("help")
@click.argument("topic", required=False, shell_complete=_names)
@click.pass_context
def help_(ctx: click.Context, topic: str | None) -> None:
    """Explain a concept on one screen, or list what can be explained; for a command, its help."""
    root, known = ctx.find_root(), topics()
    if topic is None:
        say("\n".join(_listed(known)))
    elif topic in known:
        say(known[topic].removeprefix("# ").rstrip())
    elif isinstance(root.command, click.Group) and (command := root.command.get_command(root, topic)):
        say(command.get_help(click.Context(command, parent=root, info_name=topic)))
    else:
        raise click.BadParameter(f"{topic!r} is neither a topic nor a command. Topics: {', '.join(known)}.")


def _listed(known: dict[str, str]) -> list[str]:
    return ["batchrun help TOPIC", "", *(f"  {name:<12}{_title(text)}" for name, text in known.items())]


def _title(text: str) -> str:
    return text.splitlines()[0].removeprefix("# ")
