"""The engine put together for an open run: what it is told of the job, and the signals that stop it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from batchrun.engine.attempt import Work
from batchrun.engine.budget import Budget
from batchrun.engine.engine import Engine
from batchrun.engine.events import Observer
from batchrun.engine.means import Means
from batchrun.engine.steering import Steering
from batchrun.engine.uploads import Uploads
from batchrun.errors import RunError, Stopped
from batchrun.interactions.client import Client
from batchrun.runs.alerting import Alerting, speaking_up
from batchrun.runs.expiry import watch_expiry
from batchrun.runs.flowing import flowing
from batchrun.runs.hearing import hearing
from batchrun.runs.opening import OpenRun
from batchrun.runs.options import Options
from batchrun.runs.pipeline import Pipeline
from batchrun.runs.signals import first_signal
from batchrun.runs.stages import stage_of
from batchrun.runs.steering import Steersman
from batchrun.store.control import Control
from batchrun.store.records import FREE
from batchrun.store.tally import tally_of

#: The POSTs that were made, and what stopped the run if anything did.
Carried = tuple[int, RunError | None]


async def carry_all(
    opened: OpenRun,
    client: Client,
    limit: int | None,
    wall: Callable[[], float],
    observe: Observer,
    options: Options,
    *,
    budgets: Mapping[str, Budget],
    waits: bool = False,
    alerting: Alerting | None = None,
) -> Carried:
    """Run the engine under this process's signals. Returns the POSTs made, and what stopped it if anything did.

    `budgets` are what bounds the cost of the run ("") and its stages, `waits` is for a client whose POSTs bring the
    answer; `alerting` speaks up, None where nobody is to be told.
    """
    steering = Steering(patient=options.patient)
    uploads = Uploads(opened.job.spec, lambda: opened.uploads, client, wall, opened.random, observe, steering)
    with flowing(opened, wall) as whole:
        told_at = options.webhooks.uri if options.webhooks else ""
        work = replace(work_of(opened, whole, uploads, budgets, waits=waits), told_at=told_at)
        means = Means(opened.store, opened.reader, client, wall, opened.random, observe, steering)
        engine = Engine(work, means)
        control = Control(opened.directory.path)
        steersman = Steersman(engine, steering, control, opened.reader, wall, observe, limit)
        stop_gently(engine)
        if options.seconds is not None and options.seconds <= 0:
            engine.send_no_more()
        elif options.seconds is not None:
            asyncio.get_running_loop().call_later(options.seconds, engine.send_no_more)
        expiring = asyncio.create_task(watch_expiry(opened.reader, wall, observe))
        try:
            steersman.begin(options.looks)
            async with hearing(options.webhooks, means.hints, client, wall, observe), speaking_up(alerting):
                await engine.run(limit)
        except RunError as error:
            return engine.poster.posts, error
        finally:
            expiring.cancel()
            await asyncio.gather(expiring, return_exceptions=True)
            await steersman.aclose()
            for stage in work.stages.values():
                await stage.aclose()
            await uploads.aclose()
            await client.aclose()
        return engine.poster.posts, steersman.end()


def stop_gently(engine: Engine) -> None:
    """On the running loop: the first signal lets open POSTs answer, the second leaves at once."""
    first_signal(lambda number: engine.stop(Stopped("Stopped; what was submitted goes on at the service.", number)))


def work_of(
    opened: OpenRun, whole: Pipeline | None, uploads: Uploads, budgets: Mapping[str, Budget], *, waits: bool = False
) -> Work:
    """The job as the engine sees it."""
    job, tally = opened.job, tally_of(opened.reader)
    return Work(
        job.spec,
        opened.run_id,
        {each.stage: stage_of(opened, each, whole, uploads, budgets.get(each.stage), waits=waits) for each in job.each},
        answers=opened.directory.media,
        rows=sum(tally.outcomes.values()),
        resubmits=tally.resubmits,
        resumed=opened.store.epoch > 1,
        refused=any(tally.states.get(state) for state in FREE),
        budget=budgets.get(""),
        settled=None if whole is None else lambda row: whole.settled(row.stage, row.key, opened.reader.connection),
    )
