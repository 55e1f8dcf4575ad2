"""Makes the figures of the scoreboard and prints their table; `--full` makes them all and puts them on their page."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from benchmarks.figures import machine
from tests.reliability import proofs
from tests.reliability.figures import Figure, table
from tests.reliability.page import commit, publish

PROOFS = tuple(sorted(module.name for module in iter_modules(proofs.__path__)))


def main() -> int:
    """1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"{', '.join(PROOFS)}; default: all of them")
    parser.add_argument("--full", action="store_true", help="the scoreboard's counts, into docs/reliability.md")
    chosen = parser.parse_args()
    if unknown := set(chosen.name) - set(PROOFS):
        parser.error(f"no such proof: {', '.join(sorted(unknown))}")
    made, figures = f"{machine()}, {commit()}", []
    for name in chosen.name or PROOFS:
        found = proved(name, full=chosen.full)
        figures += found
        if chosen.full:
            publish(found, made)
    print(f"\n{made}\n\n{table(figures)}")
    return int(not all(figure.met for figure in figures))


def proved(name: str, *, full: bool) -> list[Figure]:
    """The figures of one proof, made in a folder that is removed afterwards."""
    print(f"{name} …", file=sys.stderr, flush=True)
    prove: Callable[..., list[Figure]] = import_module(f"{proofs.__name__}.{name}").prove
    with tempfile.TemporaryDirectory(prefix="batchrun-proof-") as folder:
        return prove(Path(folder), full=full)


if __name__ == "__main__":
    sys.exit(main())
