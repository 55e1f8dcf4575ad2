"""Makes the figures of the scoreboard and prints their table; `--full` makes all of them and writes the docs."""

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
from tests.reliability.figures import Figure, document, table

PROOFS = tuple(sorted(module.name for module in iter_modules(proofs.__path__)))
PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- scoreboard: begin -->", "<!-- scoreboard: end -->"


def main() -> int:
    """1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"{', '.join(PROOFS)}; default: all of them")
    parser.add_argument("--full", action="store_true", help="the scoreboard's counts; all proofs: into the docs")
    chosen = parser.parse_args()
    if unknown := set(chosen.name) - set(PROOFS):
        parser.error(f"no such proof: {', '.join(sorted(unknown))}")
    figures = [figure for name in chosen.name or PROOFS for figure in proved(name, full=chosen.full)]
    print(f"\n{machine()}\n\n{table(figures)}")
    if chosen.full and not chosen.name:
        publish(figures)
    return int(not all(figure.met for figure in figures))


def proved(name: str, *, full: bool) -> list[Figure]:
    """The figures of one proof, made in a folder that is removed afterwards."""
    print(f"{name} …", file=sys.stderr, flush=True)
    prove: Callable[..., list[Figure]] = import_module(f"{proofs.__name__}.{name}").prove
    with tempfile.TemporaryDirectory(prefix="batchrun-proof-") as folder:
        return prove(Path(folder), full=full)


def publish(figures: list[Figure]) -> None:
    """Put the figures on their page, between its marks."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(
        f"{before}{BEGIN}\n{machine()}. Made by `make reliability-full`.\n\n{document(figures)}\n{END}{after}"
    )


if __name__ == "__main__":
    sys.exit(main())
