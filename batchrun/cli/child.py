"""What a child of the daemon does: it goes on with one job's open slots, waits for their answers, and ends.

Its standard input says how, the API key too, and ends when it is to stop; its standard output has a line of JSON for
each slot. It decides about no slot: that is for the daemon.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from batchrun import environment
from batchrun.cli import begin_process
from batchrun.cli.output import end_output, own_output
from batchrun.cli.printing import write
from batchrun.cli.telling import Telling
from batchrun.clock import wall_clock
from batchrun.errors import BatchrunError, Exit, store_error_of

if TYPE_CHECKING:
    from batchrun.engine.events import Event
    from batchrun.runs.run import Result
    from batchrun.runs.slot_ticks import Carry, Stood
    from batchrun.spec.load import Job

#: Each slot's run has its log where `run` has it.
_TELLING = Telling(None, "json", "info", 10_000_000)


def main() -> None:
    """Entry point; the job file is the only argument."""
    begin_process()
    try:
        given, control = _given()
        environment.give(given.pop("secrets"))
        code = _carried(Path(sys.argv[1]), given, control)
    except KeyboardInterrupt:
        code = Exit.SIGINT
    except BatchrunError as error:
        code = _fail(error, str(error))
    except Exception as error:
        known = store_error_of(error)
        code = _fail(known, str(known)) if known else _fail(None, f"batchrun failed: {type(error).__name__}: {error}")
    finally:
        end_output()
    sys.exit(code)


def _given() -> tuple[dict[str, Any], int]:
    """The first line of standard input, and what is left of it: hidden, so that no function of the user's reads it."""
    control = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    line = b""
    while not line.endswith(b"\n"):
        if not (data := os.read(control, 65536)):
            sys.exit(Exit.SIGTERM)  # the daemon is gone
        line += data
    given: dict[str, Any] = json.loads(line)
    return given, control


def _carried(path: Path, given: dict[str, Any], control: int) -> Exit:
    from batchrun.runs.scheduled import Wanted
    from batchrun.runs.slot_ticks import tick_slots, worst

    Thread(target=_stop_at_the_end, args=(control,), daemon=True).start()
    wanted, codes = Wanted(path, given.pop("overrides"), emulated=given["emulator"]), list[Exit]()
    with own_output():
        for stood in tick_slots(wanted, _carry(given), wall_clock, looks=False):
            codes.append(stood.exit_code)
            _say(stood)
    return worst(iter(codes))


def _carry(given: dict[str, Any]) -> Carry:
    """Waits for the answers, but of a slot that was replaced: there it fetches what is there."""
    from batchrun.runs.directory import run_dir
    from batchrun.runs.options import Options, emulator_settings
    from batchrun.runs.run import run

    def carry(job: Job, seconds: float | None) -> Result:
        settings = emulator_settings(job, None, given["latency"], None, given["replies"]) if given["emulator"] else None
        options = Options(
            base_url=given["base_url"],
            version=given["api_version"],
            emulator=settings,
            accept_change=given["accept_change"],
            patient=seconds is None,
            seconds=seconds,
        )
        directory = run_dir(job, None, emulated=given["emulator"])
        with _TELLING.observing(job, directory, _observe) as observe:
            return run(job, options, wall_clock, observe)

    return carry


def _observe(event: Event) -> None:
    from batchrun.engine.events import AlertFailed

    if isinstance(event, AlertFailed):
        _write({"code": Exit.OK, "text": f"an alert was not told: {event.reason}", "bad": True})


def _stop_at_the_end(control: int) -> None:
    """Stop as by Ctrl-C when the daemon says so, or is dead."""
    while os.read(control, 4096):
        pass
    os.kill(os.getpid(), signal.SIGINT)


def _say(stood: Stood) -> None:
    from batchrun.cli.ticking import slot_line

    text = "; ".join([slot_line(stood), *stood.notes])
    _write({"slot": stood.slot, "state": stood.state, "code": stood.exit_code, "text": text})


def _fail(error: BatchrunError | None, text: str) -> Exit:
    code = Exit.INTERNAL if error is None else error.exit_code
    _write({"code": code, "text": text})
    return code


def _write(said: dict[str, Any]) -> None:
    """Nobody hears it once the daemon is dead; that ends what goes on here by another way."""
    with suppress(BrokenPipeError):
        write(json.dumps(said) + "\n")
