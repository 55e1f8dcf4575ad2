"""`batchrun emulator`: the service on this machine."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def emulator() -> None:
    """The Interactions API on this machine: made-up answers, a billing ledger, faults on demand. Costs nothing."""


@emulator.command()
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free port.")
@click.option("--ledger", type=click.Path(path_type=Path, dir_okay=False), help="JSONL file that gets a line per POST.")
@click.option("--seed", default=0, show_default=True, help="Same seed, same requests: same answers and faults.")
@click.option(
    "--latency", default="200ms", show_default=True, help="How long answers take: 200ms or lognormal:20s,1.0."
)
@click.option("--rpm", type=click.IntRange(1), help="Requests a minute before 429 answers.")
@click.option("--faults", metavar="PLAN", help="Faults: a YAML or JSON file, or text such as 429:0.05,drop_after:0.01.")
def serve(port: int, ledger: Path | None, seed: int, latency: str, rpm: int | None, faults: str | None) -> None:
    """Serve on 127.0.0.1 until Ctrl-C. Use it with `batchrun run JOB --base-url http://127.0.0.1:PORT`."""
    from batchrun.emulator import EmulatorSettings, load_faults, parse_latency
    from batchrun.emulator import serve as serve_emulator

    settings = EmulatorSettings(
        seed=seed,
        latency=parse_latency(latency),
        rpm=rpm,
        faults=load_faults(faults) if faults else (),
        ledger=ledger,
    )
    serve_emulator(settings, port=port)
