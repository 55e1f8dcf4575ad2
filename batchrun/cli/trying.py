"""The command `try`: one row, printed as it comes: its answer on standard output, all else on standard error."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchrun.cli import options
from batchrun.cli.bills import cost_line, used_line
from batchrun.cli.make import refuse_idle_options, warn
from batchrun.cli.printing import counted, note, safe, say_json, shortened, write
from batchrun.engine.events import Called, Paused
from batchrun.interactions import pieces

if TYPE_CHECKING:
    from batchrun.costs import Cost
    from batchrun.trial import Trial

_WIDTH = 160


@click.command("try")
@options.job
@options.overrides
@click.option("--row", "key", metavar="KEY", help="The row to send.  [default: the first]")
@click.option("--stream", is_flag=True, help="Print the answer while it is generated.")
@click.option("--emulator", is_flag=True, help="Try it on an emulator in this process; costs nothing.")
@click.option("--latency", default="1s", show_default=True, help="How long the emulator takes.")
@options.replies
@click.option("--faults", metavar="PLAN", help="Faults of the emulator, as in `batchrun emulator serve`.")
@click.option("--base-url", metavar="URL", help="Another address of the service, such as that of `emulator serve`.")
@click.option("--api-version", default="v1beta", show_default=True, help="Version in the service's paths.")
@click.option("--prices", type=click.Path(path_type=Path), metavar="FILE", help="Prices of your own, in TOML.")
@options.as_json
def try_(
    job: Path,
    overrides: tuple[str, ...],
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
    from batchrun.interactions.client import DEFAULT_BASE_URL
    from batchrun.prices import load_prices
    from batchrun.runs import Options, emulator_settings
    from batchrun.spec.load import load_job
    from batchrun.trial import next_directory, try_row

    refuse_idle_options(emulator)
    loaded, table = load_job(job, overrides), load_prices(prices)
    warn(loaded)
    directory = next_directory(loaded, emulated=emulator)
    settings = emulator_settings(loaded, directory.path, latency, faults, replies) if emulator else None
    choice = Options(None, base_url or DEFAULT_BASE_URL, api_version, emulator=settings)
    printer = Printer()
    tell = printer if stream and not as_json else None
    trial = try_row(loaded, choice, key, directory, tell, observe=printer.observe)
    if as_json:
        say_json(_document(trial, trial.cost(table)))
    else:
        _report(trial, trial.cost(table), printer, streamed=stream, emulated=emulator)
    sys.exit(trial.exit_code)


class Printer:
    """Prints the pieces of answers as they come."""

    def __init__(self) -> None:
        self._mid_line = False
        self._unended = False
        self._interaction: str | None = None

    def __call__(self, piece: pieces.Piece) -> None:
        match piece:
            case pieces.Text(_, text):
                write(safe(text))
                self._mid_line = self._unended = not text.endswith("\n")
            case pieces.Status(name, _) if name is not None and name != self._interaction:
                self.end_line()
                self._interaction = name
                self._note(name)
            case _ if said := _said(piece):
                self._note(said)

    def observe(self, event: object) -> None:
        """Says what happens beside the answer."""
        match event:
            case Called(_, name, result, is_error):
                self._note(f"{name} {'failed' if is_error else 'gave'}: {_compact(result)}")
            case Paused(seconds, reason):
                self._note(f"waiting {seconds:.0f} s: {reason}")

    def _note(self, text: str) -> None:
        if self._mid_line:
            note("")  # on the screen the line ends; what is piped stays the answer and nothing else
            self._mid_line = False
            self._unended = True
        note(shortened(text, _WIDTH))

    def end_line(self) -> None:
        """What is printed next begins a line."""
        if self._unended:
            write("\n")
            self._mid_line = self._unended = False


def _said(piece: pieces.Piece) -> str | None:
    """A line about a piece that is not text, None for one that says nothing new."""
    match piece:
        case pieces.Thought(_, text):
            return f"thought: {text}"
        case pieces.ToolCall(_, kind, name, arguments):
            return f"{name or kind}({_compact(arguments)})"
        case pieces.ToolResult(_, kind, name, result, is_error):
            return f"{name or kind} {'failed' if is_error else 'gave'}: {_compact(result)}"
        case pieces.Media(_, kind, mime_type, size, uri):
            return f"{kind} {mime_type or ''}: {uri or counted(size or 0, 'byte')}"
        case pieces.Annotations(_, annotations):
            return f"{counted(len(annotations), 'citation')}: {_compact(list(annotations))}"
        case pieces.Waiting(reason):
            return f"waiting: {reason}"
    return None


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:2_000]


def _report(trial: Trial, costs: list[Cost | None], printer: Printer, *, streamed: bool, emulated: bool) -> None:
    if not streamed:
        for answer in trial.answers:
            for piece in pieces.unseen({}, [step for _, step in answer.own_steps]):
                if not isinstance(piece, pieces.Media):  # they are files by now, and told below
                    printer(piece)
    printer.end_line()
    if trial.stopped_by is not None:
        note(str(trial.stopped_by))
    row = trial.row
    if row is not None and row.outcome is not None:
        note(f"{row.outcome}" + (f": {row.error_class}: {row.error_message}" if row.error_class else ""))
    from batchrun.outputs.media import media_of

    for answer in trial.answers:
        for medium in media_of(answer):
            note(f"{medium.type} in {trial.directory.media / medium.name}")
    used = [attempt.usage or {} for attempt in trial.attempts if attempt.billed is not False]
    note(used_line(used))
    note(cost_line(costs, emulated=emulated))
    note(f"kept in {trial.directory.path}")


def _document(trial: Trial, costs: list[Cost | None]) -> dict[str, Any]:
    from batchrun.outputs.media import media_of

    row = trial.row
    return {
        "key": row and row.key,
        "outcome": row and row.outcome,
        "error_class": row and row.error_class,
        "error_message": row and row.error_message,
        "text": trial.answer.output_text,
        "media": [str(trial.directory.media / each.name) for answer in trial.answers for each in media_of(answer)],
        "steps": [step for answer in trial.answers for _, step in answer.own_steps],
        "interactions": [
            {
                "id": attempt.interaction_id,
                "exchange": attempt.exchange,
                "turn": attempt.turn,
                "state": attempt.state,
                "usage": attempt.usage,
            }
            for attempt in trial.attempts
        ],
        "cost_usd": [None if cost is None else str(cost.total) for cost in costs],
        "not_priced": sorted({name for cost in costs if cost for name in cost.unpriced}),
        "directory": str(trial.directory.path),
        "stopped_by": str(trial.stopped_by) if trial.stopped_by else None,
    }
