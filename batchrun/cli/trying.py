"""The command `try`: one row, printed as it comes: its answer on standard output, all else on standard error."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchrun.cli import options
from batchrun.cli.answers import Printer, citation_lines
from batchrun.cli.bills import cost_line, not_priced, total_cost, used_line
from batchrun.cli.options import RunChoice
from batchrun.cli.printing import note, say_json
from batchrun.cli.running import refuse_idle_options, warn
from batchrun.interactions.models import Interaction
from batchrun.plurals import counted

if TYPE_CHECKING:
    from batchrun.prices.bill import Cost
    from batchrun.prices.table import Prices
    from batchrun.runs.trial import Trial
    from batchrun.store.records import AttemptRecord


@click.command("try", short_help="Run one row by itself and print its answer.")
@options.job
@options.overrides
@options.slot_to_run
@click.option("--row", "key", metavar="KEY", help="The row to send.  [default: the first]")
@click.option("--stream", is_flag=True, help="Print the answer while it is generated.")
@options.rehearsal("1s")
@options.faults
@options.address
@click.option("--prices", type=click.Path(path_type=Path), metavar="FILE", help="Prices of your own, in TOML.")
@options.as_json
def try_(
    job: Path,
    overrides: tuple[str, ...],
    slot: str | None,
    key: str | None,
    stream: bool,
    emulator: bool,
    latency: str,
    replies: str,
    faults: str | None,
    base_url: str | None,
    api_version: str,
    prices: Path | None,
    as_json: bool,
) -> None:
    """Run one row by itself and print its answer, steps, usage and cost: the way to develop a prompt.

    It is sent and billed each time. The answer is kept in a directory of its own, beside the job's runs.
    """
    from batchrun.prices.table import load_prices
    from batchrun.runs.options import Options, emulator_settings
    from batchrun.runs.service import address_of
    from batchrun.runs.trial import next_directory, try_row

    refuse_idle_options(emulator)
    loaded, table = RunChoice(job, overrides, None, emulator, slot).load_planned(), load_prices(prices)
    warn(loaded)
    directory = next_directory(loaded, emulated=emulator)
    settings = emulator_settings(loaded, directory.path, latency, faults, replies) if emulator else None
    choice = Options(None, address_of(base_url), api_version, emulator=settings)
    printer = Printer(live=stream and not as_json)
    tell = printer.hear if stream and not as_json else None
    trial = try_row(loaded, choice, key, directory, tell, observe=printer.observe)
    if as_json:
        say_json(_document(trial, table))
    else:
        _report(trial, trial.cost(table), printer, streamed=stream, emulated=emulator)
    sys.exit(trial.exit_code)


def _report(trial: Trial, costs: list[Cost | None], printer: Printer, *, streamed: bool, emulated: bool) -> None:
    from batchrun.outputs.media import media_of

    if printer.unread is not None:
        note(f"kept in {trial.directory.path}")
        raise printer.unread
    if not streamed:
        for answer in trial.answers:
            printer.tell(answer)
    printer.end_line()
    row = trial.row
    for line in citation_lines(row) if row is not None else ():
        note(line)
    if trial.stopped_by is not None:
        note(str(trial.stopped_by))
    if row is not None and row.outcome is not None:
        note(f"{row.outcome}" + (f": {row.error_class}: {row.error_message}" if row.error_class else ""))
    for answer in trial.answers:
        for medium in media_of(answer):
            note(f"{medium.type} in {trial.directory.media / medium.name}")
    if doubtful := sum(a.superseded_at is not None and a.state == "ambiguous" for a in trial.attempts):
        note(f"{counted(doubtful, 'POST')} of unknown fate sent again: perhaps billed twice")
    used = [attempt.usage or {} for attempt in trial.attempts if attempt.billed is not False]
    note(used_line(used))
    note(cost_line(costs, emulated=emulated))
    note(f"kept in {trial.directory.path}" if row is None else f"row {row.key} is kept in {trial.directory.path}")


def _document(trial: Trial, prices: Prices) -> dict[str, Any]:
    """The trial as JSON values; docs/recipes.md describes them."""
    from batchrun.outputs.counts import total_usage
    from batchrun.outputs.media import media_of
    from batchrun.runs.bills import cost_of

    row, costs = trial.row, trial.cost(prices)
    return {
        "key": row and row.key,
        "outcome": row and row.outcome,
        "error_class": row and row.error_class,
        "error_message": row and row.error_message,
        "text": trial.answer.output_text,
        "media": [str(trial.directory.media / each.name) for answer in trial.answers for each in media_of(answer)],
        "interactions": [_interaction(attempt, cost_of(attempt, prices)) for attempt in trial.attempts],
        "usage": total_usage(trial.attempts),
        "cost_usd": _dollars(total_cost(costs)),
        "not_priced": not_priced(costs),
        "directory": str(trial.directory.path),
        "stopped_by": str(trial.stopped_by) if trial.stopped_by else None,
    }


def _interaction(attempt: AttemptRecord, cost: Cost | None) -> dict[str, Any]:
    answer = attempt.answer() or Interaction({})
    return {
        "id": attempt.interaction_id,
        "exchange": attempt.exchange,
        "turn": attempt.turn,
        "state": attempt.state,
        "status": answer.status or attempt.interaction_status,
        "usage": attempt.usage,
        "cost_usd": _dollars(None if cost is None else cost.total),
        "steps": [step for _, step in answer.own_steps],
    }


def _dollars(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)
