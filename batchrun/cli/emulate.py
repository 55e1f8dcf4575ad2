"""`batchrun emulator`: the service on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from batchrun.cli import options
from batchrun.cli.greeting import announce, announce_loading, say_goodbye
from batchrun.cli.printing import say


@click.group(short_help="The API on this machine, answers made up.")
def emulator() -> None:
    """The Interactions API on this machine: made-up answers, a billing ledger, faults on demand. Costs nothing."""


@emulator.command()
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free port.")
@click.option("--ledger", type=click.Path(path_type=Path, dir_okay=False), help="JSONL file that gets a line per POST.")
@click.option("--state", type=click.Path(path_type=Path, dir_okay=False), help="Goes on with what it left here before.")
@click.option("--seed", default=0, show_default=True, help="Same seed, same requests: same answers and faults.")
@click.option(
    "--latency", default="200ms", show_default=True, help="How long answers take: 200ms or lognormal:20s,1.0."
)
@options.replies
@click.option("--rpm", type=click.IntRange(1), help="Requests a minute before 429 answers, for each model.")
@click.option("--tpm", type=click.IntRange(1), help="Input tokens a minute, for each model.")
@click.option("--rpd", type=click.IntRange(1), help="Requests a day, which ends at midnight Pacific, for each model.")
@click.option("--ipm", type=click.IntRange(1), help="Images a minute, for each model.")
@click.option("--in-flight", type=click.IntRange(1), help="Background interactions that may run at once.")
@click.option("--tier", type=click.Choice(["free", "1", "2", "3"]), help="Rate limits of a usage tier (December 2025).")
@click.option(
    "--retention-days",
    default=55.0,
    show_default=True,
    type=click.FloatRange(0),
    help="How long interactions are kept.",
)
@click.option(
    "--decode-limit", type=click.IntRange(1), help="Tokens after which a foreground answer must be continued."
)
@click.option("--bad-key", "bad_keys", multiple=True, help="An API key that is not accepted. May be repeated.")
@click.option("--foreign-signatures", is_flag=True, help="Take histories whose thoughts another server has signed.")
@click.option("--faults", metavar="PLAN", help="Faults: a YAML or JSON file, or text such as 429:0.05,drop_after:0.01.")
def serve(
    port: int,
    ledger: Path | None,
    state: Path | None,
    seed: int,
    latency: str,
    replies: str,
    rpm: int | None,
    tpm: int | None,
    rpd: int | None,
    ipm: int | None,
    in_flight: int | None,
    tier: str | None,
    retention_days: float,
    decode_limit: int | None,
    bad_keys: tuple[str, ...],
    foreign_signatures: bool,
    faults: str | None,
) -> None:
    """Serve on 127.0.0.1 until Ctrl-C. Use it with `batchrun run JOB --base-url http://127.0.0.1:PORT`.

    The address is printed alone on a line, the rest of what it says goes to standard error.
    """
    from batchrun.emulator import EmulatorSettings, MovableClock, load_faults, load_replies, parse_latency
    from batchrun.emulator import serve as serve_emulator
    from batchrun.emulator.settings import wall_clock

    settings = EmulatorSettings(
        seed=seed,
        latency=parse_latency(latency),
        replies=load_replies(replies),
        rpm=rpm,
        tpm=tpm,
        rpd=rpd,
        ipm=ipm,
        in_flight=in_flight,
        tier=tier,
        retention=retention_days * 86400,
        decode_limit=decode_limit,
        bad_keys=frozenset(bad_keys),
        foreign_signatures=foreign_signatures,
        clock=MovableClock(wall_clock),
        faults=load_faults(faults) if faults else (),
        ledger=ledger,
        state=state,
    )
    announce_loading(replies)
    say_goodbye(serve_emulator(settings, port=port, announce=lambda url: announce(url, replies)))


@emulator.command(short_help="The faults that `--faults` can make.")
def faults() -> None:
    """List the faults that `--faults` can make: the name, what happens, and n where a duration can be given."""
    from batchrun.emulator import FAULTS

    width = max(map(len, FAULTS))
    for name, fault in FAULTS.items():
        default = "" if fault.seconds is None else f" (n: {fault.seconds:g})"
        place = "" if fault.on == "post" else f" [{fault.on}]"
        say(f"{name:<{width}}  {fault.about}{default}{place}")
