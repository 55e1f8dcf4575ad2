"""The command line. A command parses, calls one function, prints, and ends with an exit code.

Commands import what they need when they run, so that `batchrun --version` and `--help` start at once.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from typing import Any

import click

from batchrun import environment
from batchrun.cli import (
    after,
    completing,
    costing,
    daemon,
    drawing,
    emitting,
    emulate,
    files,
    inventory,
    look,
    make,
    recovering,
    resolving,
    running,
    scaffold,
    scheduling,
    slots,
    steering,
    tailing,
    ticking,
    topics,
    trying,
    watching,
)
from batchrun.cli.grouping import Grouped
from batchrun.cli.output import end_output, hide_descriptors
from batchrun.cli.printing import fail
from batchrun.errors import BatchrunError, Exit, StoreError, store_error_of


class _Commands(Grouped):
    """Turns our errors into one message and their exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(Exit.SIGINT)
        except BatchrunError as error:
            fail(str(error))
            ctx.exit(error.exit_code)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if (known := store_error_of(error)) is not None:
                fail(str(known))
                ctx.exit(known.exit_code)
            if os.environ.get("BATCHRUN_TRACEBACK"):
                raise
            fail(
                f"batchrun itself failed: {type(error).__name__}: {error}. What was sent is on record; "
                "please report this with the output of BATCHRUN_TRACEBACK=1."
            )
            ctx.exit(Exit.INTERNAL)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="batchrun", message="batchrun %(version)s")
def commands() -> None:
    """Run a file of prompts or documents through Gemini's Interactions API, resumably.

    The API key is in GEMINI_API_KEY, or in the file that GEMINI_API_KEY_FILE names.
    With `--emulator` a run needs none and costs nothing.
    """


for command in (
    scaffold.init,
    make.validate,
    make.plan,
    trying.try_,
    running.run,
    ticking.tick,
    scheduling.schedule,
    watching.watch,
    steering.pause,
    steering.resume,
    steering.set_,
    steering.drain,
    steering.detach,
    inventory.runs,
    look.status,
    look.show,
    tailing.tail,
    costing.cost,
    look.verify,
    drawing.graph,
    make.retry,
    resolving.resolve,
    after.approve,
    after.cancel,
    after.download,
    after.purge,
    make.export,
    recovering.recover,
    make.schema,
    files.files,
    emulate.emulator,
    completing.completion,
    topics.help_,
):
    commands.add_command(command)
scheduling.schedule.add_command(emitting.emit)
scheduling.schedule.add_command(slots.slots)
daemon.add_to(scheduling.schedule)

#: Python would look for garbage after every 700 new objects. Rows leave next to none: with this a run of 20,000 takes a
#: ninth less CPU, and no more memory.
_COLLECTING = (20_000, 20, 20)


def main() -> None:
    """Entry point of the `batchrun` script. Files it makes are its user's alone."""
    begin_process()
    try:
        commands(auto_envvar_prefix="BATCHRUN", complete_var=completing.VARIABLE)
    except BrokenPipeError:  # the reader of a pipe such as `| head` has left
        sys.exit(128 + signal.SIGPIPE)
    except StoreError as error:  # the help, or the version, has no place
        fail(str(error))
        sys.exit(error.exit_code)
    finally:
        end_output()


def begin_process() -> None:
    """What comes first in a process that is ours: nothing of it leaks, and it ends when told to."""
    os.umask(0o077)
    _end_as_told()
    environment.take()
    _dump_no_core()
    hide_descriptors()
    gc.set_threshold(*_COLLECTING)


def _end_as_told() -> None:
    """SIGTERM ends a process at once, but for the first one of a container, which has to say so itself.

    A run has handlers of its own.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(Exit.SIGTERM))


def _dump_no_core() -> None:
    """A core dump would hold the API key."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
