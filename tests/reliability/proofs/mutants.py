"""Mistakes put into copies of batchrun on purpose: the tests that are there for each of them have to notice.

    python -m tests.reliability.proofs.mutants [WORD…]

tries those whose names hold one of the words.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.reliability.figures import Figure
from tests.reliability.mutations import MUTATIONS, SEEDS, Mutation
from tests.reliability.scratch import scratch

_ROOT = Path(__file__).parents[3]
_SECONDS = 300
_LEAST = 20


def prove(where: Path, *, full: bool) -> list[Figure]:
    """All mutants; with small counts the first half, which holds the order of POST and commit and every sync."""
    tried = MUTATIONS if full else MUTATIONS[: len(MUTATIONS) // 2]
    if not survivors([control(tried)]):
        raise RuntimeError("the tests of the mutants fail without any mutant: mend them first")
    alive = survivors(tried)
    for mutation in alive:
        print(f"survived: {mutation.name} ({mutation.file})", file=sys.stderr)
    killed = len(tried) - len(alive)
    met = not alive and (len(tried) >= _LEAST or not full)
    return [Figure("mutants of the state machine that are killed", f"all of {len(tried)}", f"{killed}", met)]


def control(mutations: Sequence[Mutation]) -> Mutation:
    """No mistake at all, before all of their tests."""
    tests = tuple(dict.fromkeys(test for mutation in mutations for test in mutation.tests))
    return Mutation("nothing", "version.py", "__version__ =", "__version__ =", tests)


def survivors(mutations: Sequence[Mutation]) -> list[Mutation]:
    """Those that no test notices, tried on all processors."""
    with scratch() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        noticed = list(pool.map(partial(is_killed, Path(folder)), range(len(mutations)), mutations))
    return [mutation for mutation, seen in zip(mutations, noticed, strict=True) if not seen]


def is_killed(where: Path, number: int, mutation: Mutation) -> bool:
    """Whether one of the mutation's tests fails in a copy of the package that has the mistake in it."""
    copy = where / str(number)
    for part in ("batchrun", "tests"):
        shutil.copytree(_ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(_ROOT / "pyproject.toml", copy)
    mutation.apply(copy / "batchrun")
    killed = any(_fails(copy, test) for test in mutation.tests)
    shutil.rmtree(copy)
    return killed


def _fails(copy: Path, test: str) -> bool:
    """Whether a test fails there; one that does not end has failed. Raises RuntimeError where it cannot be run."""
    pytest = ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"--basetemp={copy / 'tmp'}", test]
    seeds = ["-m", "tests.reliability.proofs.simulation", *map(str, range(60))]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *(seeds if test == SEEDS else pytest)]
    try:
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{test} could not be run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 1


if __name__ == "__main__":
    words = sys.argv[1:] or [""]
    left = survivors([each for each in MUTATIONS if any(word in each.name for word in words)])
    print("\n".join(f"survived: {each.name} ({each.file})" for each in left) or "all killed")
    sys.exit(bool(left))
