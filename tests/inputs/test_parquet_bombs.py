"""A small Parquet file that unpacks to gigabytes is a message or failed rows, and never fills the memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

MOST_MB = 500
_TOP = Path(__file__).parents[2]
_READ = """
import sys
from pathlib import Path
from batchrun.errors import SpecError
from batchrun.inputs.read import read_rows
from batchrun.spec.model import InputSpec
from tests.memory import peak_mb
path = Path(sys.argv[1])
try:
    rows = list(read_rows(InputSpec(path=path.name), path.parent))
    print(len(rows), {row.problem and row.problem.kind for row in rows})
except SpecError as error:
    print(error)
print(peak_mb())
"""


def read(path: Path) -> tuple[str, int]:
    """What a process of its own says of a file, and how many MB it held at most."""
    done = subprocess.run(
        [sys.executable, "-c", _READ, path], cwd=_TOP, capture_output=True, text=True, check=True, timeout=60
    )
    said, held = done.stdout.splitlines()
    return said, int(held)


def write(path: Path, column: pa.Array, **options: object) -> Path:
    pq.write_table(pa.table({"x": column}), path, compression="zstd", **options)
    assert path.stat().st_size < 100_000
    return path


@pytest.fixture
def bomb(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "bomb.parquet"
    match request.param:
        case "dictionary":
            indices = pa.array([0] * 12, pa.int32())
            return write(path, pa.DictionaryArray.from_arrays(indices, pa.array(["a" * 40_000_000])))
        case "page":
            return write(path, pa.array(["a" * 400_000_000]), use_dictionary=False, write_statistics=False)
        case "list":
            offsets = pa.array([0, 100_000_000], pa.int32())
            return write(path, pa.ListArray.from_arrays(offsets, pa.nulls(100_000_000, pa.bool_())))
    raise AssertionError(request.param)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system does not bound memory")
@pytest.mark.parametrize(
    ("bomb", "said"),
    [
        ("dictionary", "12 {'too_long'}"),
        ("page", "bomb.parquet: not a readable Parquet file"),
        ("list", "bomb.parquet: not a readable Parquet file"),
    ],
    indirect=["bomb"],
)
def test_a_bomb_is_a_message_or_failed_rows_in_bounded_memory(bomb: Path, said: str) -> None:
    words, held = read(bomb)
    assert words.startswith(said)
    assert held < MOST_MB


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system does not bound memory")
def test_long_rows_that_do_not_fit_together_are_read_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "long.parquet"
    texts = pa.array([chr(97 + n) * 8_000_000 for n in range(12)])
    pq.write_table(pa.table({"x": texts}), path, compression="zstd", use_dictionary=False, data_page_size=1)
    said, held = read(path)
    assert said == "12 {None}"
    assert held < MOST_MB
