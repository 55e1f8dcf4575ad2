"""`batchrun init`: a job that runs as it is."""

from __future__ import annotations

import re
from pathlib import Path

import click

from batchrun.cli.printing import say
from batchrun.errors import SpecError

_JOB = """\
# What to run. `batchrun run {name}.yaml --emulator` rehearses it for nothing.
name: {name}

input:
  path: {name}.jsonl      # one JSON object a line; Parquet works too
  key: id                 # a column that names each row

request:
  model: gemini-3.5-flash
  input: |
    Read the review and say what the customer thinks.

    {{{{ review }}}}
  response_format:
    schema: {name}.schema.json   # every answer is checked against it

limits:
  rpm: 60                 # what your project may send a minute
"""
_SCHEMA = """\
{
  "type": "object",
  "properties": {
    "sentiment": {"type": "string", "enum": ["positive", "neutral", "negative"]},
    "summary": {"type": "string", "description": "One sentence."}
  },
  "required": ["sentiment", "summary"]
}
"""
_ROWS = """\
{"id": "r1", "review": "The kettle boils fast and is quiet. I would buy it again."}
{"id": "r2", "review": "Arrived with a dent, and nobody answers my mails."}
"""


@click.command(short_help="Write a job that works, with two input rows.")
@click.argument("name")
def init(name: str) -> None:
    """Write a job file, a schema and two input rows into this directory, ready to run."""
    from batchrun.spec.model import NAME_PATTERN

    if not re.fullmatch(NAME_PATTERN, name):
        raise SpecError(f"{name!r} is no job name: at most 63 letters, digits, `_`, `-`, `.`, first a letter or digit.")
    files = {f"{name}.yaml": _JOB.format(name=name), f"{name}.schema.json": _SCHEMA, f"{name}.jsonl": _ROWS}
    taken = [file for file in files if Path(file).exists()]
    if taken:
        raise SpecError(f"{', '.join(taken)}: already there; nothing was written. Choose another name.")
    for file, content in files.items():
        Path(file).write_text(content, encoding="utf-8")
        say(f"wrote {file}")
    say(f"Try it for nothing: batchrun run {name}.yaml --emulator")
