"""Rewrites the generated blocks of README.md and docs/*.md from the code: `make docs`. With `--check` it only compares.

A block names the function below that writes it: `<!-- [[[cog cog.outl(generate.commands()) ]]] -->` to `[[[end]]]`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from cogapp import Cog

from batchrun.cli import commands as program
from batchrun.emulator.faults import ALIASES, FAULTS
from batchrun.spec.model import JobSpec
from batchrun.telemetry.otel import SIGNALS
from batchrun.telemetry.prometheus import METRICS
from batchrun.telemetry.records import ACTIONS

DOCS = Path(__file__).resolve().parent
FILES = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]
#: Where the README's newcomer works.
HOME = "/home/you"

Schema = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Run cog over every file. Returns 0, or 5 if `--check` finds a file that is out of date."""
    mode = ["--check", "--diff"] if "--check" in arguments else ["-r"]
    preamble = ["-p", "import cog, generate"]
    status: int = Cog().main(["cog", *mode, "-U", "--verbosity=1", "-I", str(DOCS), *preamble, *map(str, FILES)])
    return status


# -- the command line ------------------------------------------------------------------------------------------------


def commands() -> str:
    """A section for each command."""
    return "\n".join(_command(name, command) for name, command in walk("batchrun", program) if name != "batchrun")


def walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, groups before their members."""
    yield name, command
    for child, member in command.commands.items() if isinstance(command, click.Group) else ():
        yield from walk(f"{name} {child}", member)


def _command(name: str, command: click.Command) -> str:
    arguments = [part.make_metavar(click.Context(command)) for part in _parameters(command, "argument")]
    options = "".join(_option(name, option) for option in _parameters(command, "option"))
    table = f"| option | meaning |\n|---|---|\n{options}\n" if options else ""
    usage = " ".join([name, *(["[OPTIONS]"] if options else []), *arguments])
    return f"## {name}\n\n    {usage}\n\n{_paragraphs(command.help or '')}\n\n{table}"


def _parameters(command: click.Command, kind: str) -> list[Any]:
    return [parameter for parameter in command.params if parameter.param_type_name == kind]


def _option(command: str, option: click.Option) -> str:
    value = "" if option.is_flag else " " + (option.metavar or option.type.name.upper().replace(" RANGE", ""))
    default = f" Default: `{option.default}`." if option.show_default else ""
    return f"| `{', '.join(option.opts)}{value}` | {_cell((option.help or '') + default)} |\n"


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.replace("\b", "").split("\n\n"))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# -- the job file ----------------------------------------------------------------------------------------------------


def fields() -> str:
    """A section for each part of the job file, a line for each field."""
    return "\n".join(_section(path, schema) for path, schema in sections())


def sections() -> Iterator[tuple[str, Schema]]:
    """Each part of the job file with the first key path where it may stand; "" is the file itself."""
    root = JobSpec.model_json_schema(by_alias=True)
    yield from _sections("", root, root["$defs"], set())


def _sections(path: str, schema: Schema, definitions: Schema, seen: set[str]) -> Iterator[tuple[str, Schema]]:
    yield path, schema | {"properties": {n: _described(f, definitions) for n, f in schema["properties"].items()}}
    for name, field in schema["properties"].items():
        for found, suffix in _references(field):
            if found not in seen:
                seen.add(found)
                yield from _sections(f"{path}.{name}{suffix}".lstrip("."), definitions[found], definitions, seen)


def _described(field: Schema, definitions: Schema) -> Schema:
    """A section's field without words of its own has those of its section."""
    return definitions[field["$ref"].rpartition("/")[2]] | field if "$ref" in field else field


def _references(schema: Schema) -> Iterator[tuple[str, str]]:
    """Models a field may hold, with `[]` where it holds a list of them, `.NAME` where they have names."""
    if "$ref" in schema:
        yield schema["$ref"].rpartition("/")[2], ""
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from _references(branch)
    for name, suffix in _references(schema["items"]) if "items" in schema else ():
        yield name, "[]" + suffix
    named = schema.get("additionalProperties")
    for name, suffix in _references(named) if isinstance(named, dict) else ():
        yield name, ".NAME" + suffix


def _section(path: str, schema: Schema) -> str:
    title = f"`{path}`{_kinds(schema)}" if path else "The file"
    lines = [_field(name, field, schema.get("required", [])) for name, field in schema["properties"].items()]
    table = "| field | type | default | meaning |\n|---|---|---|---|\n" + "".join(lines)
    return f"### {title}\n\n{_paragraphs(schema.get('description', ''))}\n\n{table}"


def _kinds(schema: Schema) -> str:
    """Which of several kinds of parts a section is about, told by its `type`."""
    kind = schema["properties"].get("type", {})
    values = [kind["const"]] if "const" in kind and "default" not in kind else kind.get("enum", [])
    return f" of type {' or '.join(values)}" if values else ""


def _field(name: str, field: Schema, required: list[str]) -> str:
    default = "required" if name in required else _default(field)
    return f"| `{name}` | {_cell(_type(field))} | {default} | {_cell(field['description'])} |\n"


def _default(field: Schema) -> str:
    value = field.get("default")
    if value is None:
        return "–"
    return f"`{_seconds(value)}`" if _type(field) == "duration" else f"`{json.dumps(value)}`"


def _seconds(value: float) -> str:
    """Seconds as a job file may say them."""
    return f"{value:g}s" if value % 86400 else f"{value / 86400:g}d"


def _type(schema: Schema) -> str:
    """The type in words."""
    if "$ref" in schema:
        return "section"
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{json.dumps(value).strip(chr(34))}`" for value in schema.get("enum") or [schema["const"]])
    branches = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    if any("ms|s|m|h|d" in branch.get("pattern", "") for branch in branches):
        return "duration"
    if any("kB|MB" in branch.get("pattern", "") for branch in branches):
        return "size"
    if branches:
        words = dict.fromkeys(_type(branch) for branch in branches if branch.get("type") != "null")
        return " or ".join(words)
    return _plain_type(schema)


def _plain_type(schema: Schema) -> str:
    if schema.get("type") == "array":
        inner = _type(schema["items"])
        lists = {"section": "list of sections", "mapping": "list of mappings", "text": "list of texts"}
        return lists.get(inner, f"list of ({inner})")
    names = {"string": "text", "integer": "whole number", "boolean": "`true`, `false`", "object": "mapping"}
    return names.get(schema.get("type", ""), schema.get("type", "any"))


# -- the emulator ----------------------------------------------------------------------------------------------------

_PLACES = {
    "answer": "### Instead of an answer\n\nNothing is created and nothing is billed.",
    "line": "### On the line\n\nThe connection breaks; nothing is created and nothing is billed.",
    "created": "### After the interaction was created\n\nIt is billed, but the client may not learn of it.",
    "outcome": "### In the outcome\n\nThe create works; later polls show this.",
}


def faults() -> str:
    """A table of the emulator's faults for each place they act in."""
    return "\n".join(_faults_in(place, heading) for place, heading in _PLACES.items())


def _faults_in(place: str, heading: str) -> str:
    rows = [_fault(name) for name, fault in FAULTS.items() if fault.place == place]
    return f"{heading}\n\n| fault | what happens | n by default |\n|---|---|---|\n" + "".join(rows)


def _fault(name: str) -> str:
    fault, names = FAULTS[name], [name, *(alias for alias, meant in ALIASES.items() if meant == name)]
    target = "" if fault.on == "post" else f" (on {fault.on})"
    seconds = "" if fault.seconds is None else f"{fault.seconds:g} s"
    return f"| {', '.join(f'`{each}`' for each in names)}{target} | {_cell(fault.about)} | {seconds} |\n"


# -- the log ----------------------------------------------------------------------------------------------------------


def actions() -> str:
    """A table of the actions of the log."""
    rows = "".join(f"| `{name}` | {_cell(about)} |\n" for name, about in ACTIONS.items())
    return f"| action | what it says |\n|---|---|\n{rows}"


def metrics() -> str:
    """A table of the metrics for Prometheus."""
    rows = "".join(f"| `{name}` | {_cell(about)} |\n" for name, about in METRICS.items())
    return f"| metric | what it says |\n|---|---|\n{rows}"


def signals() -> str:
    """A table of the spans and metrics of OpenTelemetry."""
    rows = "".join(f"| `{name}` | {_cell(about)} |\n" for name, about in SIGNALS.items())
    return f"| name | what it is |\n|---|---|\n{rows}"


# -- the first run ---------------------------------------------------------------------------------------------------


def session(*lines: str) -> str:
    """What a terminal shows for these commands, run one after the other in an empty directory."""
    with tempfile.TemporaryDirectory() as where:
        shown = [f"$ {line}\n{_output(line, Path(where).resolve())}" for line in lines]
    return "```console\n" + "".join(shown) + "```"


def _output(line: str, where: Path) -> str:
    """Standard output, with times and the directory made the same everywhere."""
    script = [sys.executable, "-m", *line.split()]
    done = subprocess.run(script, cwd=where, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return re.sub(r"\b\d+s$", "3s", done.stdout.replace(str(where), HOME), flags=re.MULTILINE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
