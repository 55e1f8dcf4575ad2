"""Answers that try to break what reads them: kept as they came, judged, exported and shown, and no more."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
from click.testing import CliRunner

from batchrun.cli import commands
from batchrun.emulator.outcome import Outcome
from batchrun.emulator.prompts import Prompt, plain_text
from batchrun.emulator.rules.request import Order
from batchrun.store.reader import Reader
from tests.rehearsal import Rehearsal
from tests.reliability.books import documents
from tests.reliability.figures import Figure

#: No row may take longer, in seconds of processor time.
MOST_SECONDS = 2.0
#: What may not come to a terminal as it is: controls but for the end of a line, and what turns text round or hides it.
_RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_ESC = "\x1b"
TEXTS = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "\ud800",
    "\udc00\ud800",
    "\ufffe\uffff",
    "\ufeff{}",
    "\u2028\u2029\x85\x0b\x0c",
    "\r\n\r",
    f"{_ESC}[2J{_ESC}[31mred{_ESC}]0;title\x07{_ESC}]8;;http://x\x07link",
    "\x9b31m",
    "\u202egnp.exe",
    "\u2066\u2069",
    "\x08" * 50,
    "a" + "\u0301" * 10_000,
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\uff1d1+1",
    "../../etc/passwd",
    "/dev/zero",
    "file:///etc/passwd",
    "C:\\Windows",
    "con.txt",
    "{{ 7*7 }}",
    "{% for x in [1] %}",
    "{{ ''.__class__ }}",
    "${7*7}",
    "%s%n",
    "{0}",
    "'; DROP TABLE attempt; --",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "]]>",
    "<!--",
    "&#0;",
    "null",
    "true",
    "NaN",
    "-Infinity",
    "1e999",
    "-0",
    "9" * 5_000,
    str(2**64),
    "1e-999",
    '{"a":1e999}',
    '{"a":' + "9" * 5_000 + "}",
    '{"a":1,"a":2}',
    '{"__proto__":{"x":1},"constructor":1}',
    '{"answer":1,"steps":["x"],"__class__":1}',
    '{"answer":1,"steps":["\\u0000\\ud800"]}',
    "[" * 100_000,
    "[" * 100_000 + "]" * 100_000,
    '{"a":' * 50_000,
    "{" * 100_000,
    '"' + "\\" * 99_999,
    "[0" + ",0" * 500_000 + "]",
    '```json\n{"answer": 1, "steps": []}\n```',
    'Sure! {"answer": 1, "steps": []}',
    '{"answer": 1, "steps": []}x',
    "'a': 1",
    '{"answer": "' + "a" * 200_000 + '!", "steps": []}',
    '{"answer": 1, "steps": ["' + "a" * 200_000 + '!"]}',
    "x" * 3_000_000,
    '{"answer": 1, "steps": [' + ",".join(['"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"'] * 20_000) + "]}",
    "{" + '"k":0,' * 100_000 + '"k":0}',
    json.dumps({"answer": 1, "steps": [], "tree": "@"}).replace('"@"', '{"child":' * 60 + "1" + "}" * 60),
    json.dumps({f"{n}": n for n in range(100_000)}),
    json.dumps({"answer": 1, "steps": ["y" * 30] * 20_000}),
)
_NODE = {
    "anyOf": [{"required": [name], "properties": {"child": {"$ref": "#/$defs/node"}}} for name in ("left", "right")]
}
#: A schema that a careless validator can be held up by.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "answer": {"type": "integer"},
        "steps": {"type": "array", "items": {"type": "string", "pattern": "^(a+)+$"}, "uniqueItems": True},
        "tree": {"$ref": "#/$defs/node"},
    },
    "required": ["answer", "steps"],
    "$defs": {"node": _NODE},
}


class Said:
    """Answers the prompt `Answer: N` with the N-th text."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    def __call__(self, order: Order, prompt: Prompt, made: Callable[[], Outcome]) -> Outcome:
        text = self._texts[int(plain_text(order.body["input"]).rpartition(" ")[2])]
        step = {"type": "model_output", "content": [{"type": "text", "text": text}]}
        return Outcome("completed", [step], {"total_tokens": 2, "total_input_tokens": 1, "total_output_tokens": 1})


def prove(where: Path, *, full: bool) -> list[Figure]:
    """All texts, and 500 or 5,000 by seed; with a schema and without."""
    texts = [*TEXTS, *_found(), *made(range(5_000 if full else 500))]
    return [figure(where / name, texts, schema) for name, schema in (("plain", None), ("schema", SCHEMA))]


def figure(where: Path, texts: list[str], schema: dict[str, Any] | None) -> Figure:
    """What comes of a run whose answers are these."""
    wrong = list(broken(where, texts, schema))
    for line in wrong[:10]:
        print(line[:300], file=sys.stderr)
    return Figure(
        f"hostile answers {'with' if schema else 'without'} a schema: not kept as they came, or not withstood",
        f"0 of {len(texts):,}",
        f"{len(wrong)} of {len(texts):,}",
        not wrong,
    )


def made(seeds: Iterable[int]) -> Iterator[str]:
    """Texts by seed: pieces of the others put together, and any characters at all."""
    for seed in seeds:
        random = Random(seed)
        pieces = [random.choice(TEXTS)[: random.randrange(1, 200)] for _ in range(random.randrange(1, 5))]
        yield "".join(pieces) + "".join(
            chr(random.choice((random.randrange(256), random.randrange(0x110000)))) for _ in "ab"
        )


def _found() -> list[str]:
    """Of corpora that others wrote, where `BATCHRUN_CORPUS` names a folder that has them."""
    folder = Path(os.environ.get("BATCHRUN_CORPUS", "/nonexistent"))
    files = sorted(folder.glob("json-test-suite/test_parsing/*.json"))
    texts = [file.read_bytes().decode("utf-8", "surrogateescape") for file in files]
    blns = folder / "blns" / "blns.json"
    return texts + (json.loads(blns.read_text(encoding="utf-8")) if blns.exists() else [])


def broken(where: Path, texts: list[str], schema: dict[str, Any] | None) -> Iterator[str]:
    """Everything that is wrong, a line for each."""
    job = Rehearsal(where, rows=len(texts), limits={"posts": 8, "in_flight": 64})
    job.rows = [{"id": f"r{n}", "question": str(n)} for n in range(len(texts))]
    job.spec["request"]["response_format"] = {"schema": schema} if schema else {}
    if not schema:
        del job.spec["request"]["response_format"]
    began = time.process_time()
    result = job.run(latency="0ms", replies=Said(texts))
    if result.stopped_by is not None:
        yield f"the run ended with {result.stopped_by}"
    if (took := time.process_time() - began) > MOST_SECONDS + 0.1 * len(texts):
        yield f"the run took {took:.0f} s of processor time"
    yield from _rows(job, texts, schema)
    yield from _shown(job)


def _rows(job: Rehearsal, texts: list[str], schema: dict[str, Any] | None) -> Iterator[str]:
    true = documents(job.where / "emulator.db")
    with Reader(job.directory / "run.db") as reader:
        rows = list(reader.rows())
    for row, text in zip(rows, texts, strict=True):
        attempt = row.attempt
        if attempt is None or attempt.raw is None or attempt.raw != true[attempt.interaction_id or ""]:
            yield f"{text[:60]!r} was not kept as it came ({row.error_message})"
        elif row.outcome not in ("succeeded", "invalid_output", "failed") or (
            schema is None and row.outcome == "failed"
        ):
            yield f"{text[:60]!r} ended as {row.outcome}: {row.error_message}"
    table = pq.read_table(job.directory / "results.parquet").to_pylist()
    if [row["status"] for row in table] != [row.outcome for row in rows]:
        yield "the output is not that of the checkpoint"


def _shown(job: Rehearsal) -> Iterator[str]:
    """What commands print of such a run."""
    path = str(job.where / "job.json")
    lines = [["status", path], ["status", path, "--json"], ["verify", path]]
    for words in [*lines, *(["show", path, f"r{n}"] for n in range(0, len(job.rows), max(1, len(job.rows) // 100)))]:
        shown = CliRunner().invoke(commands, words, color=True)
        if shown.exception is not None and not isinstance(shown.exception, SystemExit):
            yield f"{words} ends with {shown.exception!r}"
        if found := _RAW.search(shown.output):
            yield f"{words} prints {found[0]!r}"
