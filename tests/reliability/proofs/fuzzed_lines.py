"""Input lines of every kind of badness among good ones, read and taken in as a run does at its start.

    python -m tests.reliability.proofs.fuzzed_lines SEED…

repeats files, and prints what is wrong with them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from batchrun.errors import SpecError
from batchrun.inputs.parquet import parquet_rows
from batchrun.inputs.read import read_rows
from batchrun.rows import InputRow
from batchrun.spec.model import InputSpec
from batchrun.store.admission import admit
from batchrun.store.reader import Reader
from batchrun.store.store import Store
from tests.memory import peak_mb
from tests.reliability.figures import Figure
from tests.reliability.scratch import scratch

COMMAND = "python -m tests.reliability.proofs.fuzzed_lines"
LINES = 10_000
CAP = 4_096
#: No more memory than this may ten times as many lines take, in MB.
MOST_GROWTH = 10
_NAME = "rows.jsonl"
_PIECES = (
    b"\x00",
    b"\r",
    b"\xe2\x80\xa8",
    b"\xc2\x85",
    b"\x0b",
    b"\x0c",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf5\x80\x80\x80",
    b"\\ud800",
    b"\\u0000",
    b"\\x",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-0",
    b"01",
    b"0x1",
    b"9" * 5_000,
    b"[" * 2_000,
    b'{"a":' * 500,
    b"//",
    b"/*",
    b"#",
    b"'",
    b"\t",
    b"null",
    b"true",
)
#: Whole lines that are no rows, and some that are.
_LINES = (
    b"",
    b" ",
    b"\t \r",
    b"null",
    b"[]",
    b"{}",
    b'"text"',
    b"1",
    b"{}{}",
    b"{},",
    b'{"a":1,"a":2}',
    b'{"a":{"b":1,"b":1}}',
    b'{"a":NaN}',
    b'{"a":1e400}',
    b'{"a":"\\ud800"}',
    b'{"a":"\\udc00\\ud800"}',
    b"\xef\xbb\xbf{}",
    b"{'a':1}",
    b'{"a":1}\x00',
    b"{" * 100_000,
    b"[" * 100_000,
    b'{"a":' + b"[" * 99 + b"]" * 99 + b"}",
    b'{"a":' + b"[" * 100 + b"]" * 100 + b"}",
    b'{"a":' + b"9" * 4_000 + b"}",
    b'{"":""}',
    b'{"a":"' + b"\xf0\x9f\x92\xa9" * 20 + b'"}',
    b'{"a":"\x7f"}',
    b'{"a" 1}',
    b'{"a":1]',
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one file."""

    seed: int
    lines: int
    good: int
    refused: int
    wrong: tuple[str, ...]


def prove(where: Path, *, full: bool) -> list[Figure]:
    """100,000 lines, or 1,000,000 in full, on all processors."""
    few, many = (peak(where / _NAME, files) for files in (2, 20))
    grown = Figure(
        "memory that ten times as many fuzzed lines take",
        f"at most {MOST_GROWTH} MB more",
        f"{many - few} MB more",
        many - few <= MOST_GROWTH,
        f"{many} MB for {20 * LINES:,} lines, with the interpreter",
    )
    return [figure(list(verdicts(range(100 if full else 10)))), grown, parquet(5_000 if full else 500)]


def figure(known: list[Verdict]) -> Figure:
    """The figure of these files; what is wrong is printed with the command that repeats it."""
    for each in known:
        for line in each.wrong[:3]:
            print(f"{COMMAND} {each.seed}    # {line}", file=sys.stderr)
    lines, wrong = sum(each.lines for each in known), sum(len(each.wrong) for each in known)
    return Figure(
        "fuzzed input lines: exceptions, good lines lost or altered, bad ones without their place",
        f"0 of {lines:,}",
        f"{wrong} of {lines:,}",
        not wrong,
        f"{sum(each.good for each in known):,} good lines, {sum(each.refused for each in known):,} row problems",
    )


def parquet(count: int) -> Figure:
    """The figure of so many Parquet files of 500 rows with damage. A process that it ends is an exception here."""
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        said = list(pool.map(damaged_parquet, range(count), chunksize=50))
    wrong = [line for line in said if line not in ("refused", "read")]
    return Figure(
        "damaged Parquet files: exceptions, hangs, rows altered in spite of page checksums",
        f"0 of {count:,}",
        f"{len(wrong)} of {count:,}",
        not wrong,
        f"{said.count('refused'):,} refused, {said.count('read'):,} read as they were" + "".join(set(wrong)),
    )


def damaged_parquet(seed: int) -> str:
    """`refused`, `read`, or what is wrong."""
    random, (content, truth) = Random(seed), _parquet()
    damaged = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 8))):
        damaged[random.randrange(len(damaged))] = random.randrange(256)
    del damaged[random.choice((len(content), len(content), random.randrange(len(content)))) :]
    try:
        rows = [draft.data for draft in parquet_rows(BytesIO(damaged), "rows.parquet", CAP)]
    except SpecError:
        return "refused"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    in_pages = damaged[: len(content) // 2] != content[: len(content) // 2]
    return "altered" if in_pages and [row for row in rows if row not in truth] else "read"


@cache
def _parquet() -> tuple[bytes, list[dict[str, Any] | None]]:
    sink = BytesIO()
    numbers = list(range(500))
    table = pa.table({"a": numbers, "b": [f"text {n}" for n in numbers], "c": [[n, None] for n in numbers]})
    pq.write_table(table, sink, write_page_checksum=True)
    return sink.getvalue(), [draft.data for draft in parquet_rows(BytesIO(sink.getvalue()), "rows.parquet", CAP)]


def peak(path: Path, files: int) -> int:
    """The most memory that a new process holds while it reads the lines of so many files from one, in MB."""
    with path.open("wb") as file:
        for seed in range(files):
            file.writelines(line + b"\n" for line, _ in _lines(Random(seed)))
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_read_through, path.parent).result()


def _read_through(where: Path) -> int:
    for _ in read_rows(InputSpec(path=_NAME, max_line_bytes=CAP), where):
        pass
    return peak_mb()


def verdicts(seeds: Iterable[int]) -> Iterator[Verdict]:
    """Of the file of each seed, on all processors."""
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        yield from pool.map(verdict, seeds)


def verdict(seed: int) -> Verdict:
    """Read the file of a seed, take its rows in, and look at them."""
    lines = list(_lines(Random(seed)))
    with scratch() as folder:
        where = Path(folder)
        return judged(seed, where, [line for line, _ in lines], {n for n, (_, good) in enumerate(lines, 1) if good})


def judged(seed: int, where: Path, lines: list[bytes], good: set[int]) -> Verdict:
    """Take in a file of these lines, of which some, by number, are known to be `good`."""
    (where / _NAME).write_bytes(b"\n".join(lines) + b"\n" * (seed % 2))
    try:
        taken = dict(_taken_in(where))
        wrong = tuple(_wrong(lines, good, taken))
    except Exception as error:
        taken, wrong = {}, (f"{type(error).__name__}: {error}",)
    refused = sum(data is None for data, _ in taken.values())
    return Verdict(seed, len(lines), len(good), refused, wrong)


def _taken_in(where: Path) -> Iterator[tuple[int, tuple[dict[str, Any] | None, str]]]:
    """What the checkpoint has of each line, by its number: the row, or None and why not."""
    spec = InputSpec(path=_NAME, max_line_bytes=CAP)
    rows: Iterator[InputRow] = read_rows(spec, where)
    with closing(Store(where / "run.db")) as store:
        admit(store, rows, 1.0, named=False, complete=True)
    with Reader(where / "run.db") as reader:
        for row in reader.rows():
            name, number = row.source.split(":")
            assert name == _NAME
            yield int(number), (row.data, row.error_message or "")


def _wrong(lines: list[bytes], good: set[int], taken: dict[int, tuple[dict[str, Any] | None, str]]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        content = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        data, said = taken.get(number, (None, ""))
        if number not in taken:
            if not content.isspace() and content:
                yield f"line {number} is lost: {line[:80]!r}"
        elif data is None:
            if number in good:
                yield f"line {number} is good and was refused: {said}"
            elif not said.startswith(f"{_NAME}:{number}: "):
                yield f"line {number} is refused without its place: {said!r}"
        elif _strictly(content) != data:
            yield f"line {number} was altered, or is no row: {line[:80]!r}"
    if extra := set(taken) - set(range(1, len(lines) + 1)):
        yield f"lines that there are not: {sorted(extra)[:5]}"


def _strictly(content: bytes) -> Any:
    """The value of a line; None for one that must not be taken."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError("twice")
        return made

    try:
        value = json.loads(content.decode(), object_pairs_hook=once)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        return None
    return value


def _lines(random: Random) -> Iterator[tuple[bytes, bool]]:
    """Lines, and whether each is good."""
    for number in range(LINES):
        line = _good(random, number)
        if random.random() < 0.4:
            yield line, True
        else:
            yield _spoiled(random, line).replace(b"\n", b" "), False


def _good(random: Random, number: int) -> bytes:
    text = random.choice(
        ("plain", "ü€𝄞", "\u2028\u0085\x7f", 'a\\b"c', "<b>{{ x }}", "\ufeff", "x" * random.randrange(3_000))
    )
    row = {
        "id": number,
        "text": text,
        "list": [1.5, None, {"deep": [random.random()]}],
        "big": 2 ** random.randrange(62),
    }
    line = json.dumps(row, ensure_ascii=random.random() < 0.5).encode()
    return line + b"\r" if random.random() < 0.05 else line


def _spoiled(random: Random, line: bytes) -> bytes:
    at = random.randrange(len(line))
    match random.randrange(7):
        case 0:
            return line[:at] + bytes([line[at] ^ 1 << random.randrange(8)]) + line[at + 1 :]
        case 1:
            return line[:at]
        case 2:
            return line[:at] + random.choice(_PIECES) + line[at:]
        case 3:
            return line[:at] + random.randbytes(random.randrange(1, 9)) + line[at:]
        case 4:
            return random.choice(_LINES)
        case 5:
            return line[at:] + line[:at]
        case _:
            text = b'{"a":"' + b"x" * (CAP - 8 + random.randrange(-3, 4)) + b'"}'
            return random.choice((text, text + b"\r", b" " * random.randrange(CAP * 40), text * 30))


if __name__ == "__main__":
    for each in map(verdict, map(int, sys.argv[1:])):
        print(each)
