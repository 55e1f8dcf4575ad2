"""The engine put together for an open run: what it is told of the job, and the signals that stop it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from batchrun.engine.attempt import Work
from batchrun.engine.bodies import Bodies
from batchrun.engine.budget import Budget
from batchrun.engine.conversation import Ask, Check, Exchange
from batchrun.engine.engine import Engine
from batchrun.engine.events import Observer
from batchrun.engine.means import Means
from batchrun.engine.media import Media, library_of
from batchrun.engine.request import Draft, Request, next_request, script_of
from batchrun.engine.uploads import Uploads
from batchrun.errors import RowError, RunError
from batchrun.interactions.client import Client
from batchrun.interactions.fetching import Fetcher
from batchrun.outputs.fitting import misfits
from batchrun.outputs.shapes import shape_of
from batchrun.runs.expiry import watch_expiry
from batchrun.runs.opening import OpenRun
from batchrun.runs.signals import stop_gently
from batchrun.spec.load import Job
from batchrun.store.records import FREE, RowRecord
from batchrun.store.tally import tally_of
from batchrun.tools import Toolbox

#: The POSTs that were made, and what stopped the run if anything did.
Carried = tuple[int, RunError | None]


async def carry_all(
    opened: OpenRun,
    client: Client,
    limit: int | None,
    wall: Callable[[], float],
    observe: Observer,
    *,
    budget: Budget | None,
    waits: bool = False,
) -> Carried:
    """Run the engine under this process's signals. Returns the POSTs made, and what stopped it if anything did.

    `budget` is what bounds the run's cost, `waits` is for a client whose POSTs bring the answer.
    """
    media = media_of(opened, client, wall, observe)
    work = work_of(opened, media, budget, waits=waits)
    engine = Engine(work, Means(opened.store, opened.reader, client, wall, opened.random, observe))
    stop_gently(engine)
    expiring = asyncio.create_task(watch_expiry(opened.reader, wall, observe))
    try:
        await engine.run(limit)
    except RunError as error:
        return engine.poster.posts, error
    finally:
        expiring.cancel()
        await asyncio.gather(expiring, return_exceptions=True)
        if work.toolbox is not None:
            await asyncio.to_thread(work.toolbox.close)
        await media.aclose()
        await client.aclose()
    return engine.poster.posts, None


def media_of(opened: OpenRun, client: Client, wall: Callable[[], float], observe: Observer) -> Media:
    """What reads and uploads the run's files."""
    job, directory = opened.job, opened.directory.path
    uploads = Uploads(job.spec, lambda: opened.uploads, client, wall, opened.random, observe)
    fetcher = Fetcher(frozenset(host.lower() for host in job.spec.request.fetch))
    return Media(library_of(job), job.spec.request.inline_limit, uploads, fetcher, directory)


def work_of(opened: OpenRun, media: Media, budget: Budget | None = None, *, waits: bool = False) -> Work:
    """The job as the engine sees it."""
    job, tally = opened.job, tally_of(opened.reader)
    calling = job.spec.request.function_calling
    return Work(
        job.spec,
        opened.run_id,
        requests_of(opened),
        media,
        check_for=checks_of(job),
        script_for=lambda row: script_of(job, row.data or {}),
        answers=opened.directory.media,
        waits=waits or not job.spec.request.store,
        rows=sum(tally.outcomes.values()),
        resubmits=tally.resubmits,
        resumed=opened.store.epoch > 1,
        refused=any(tally.states.get(state) for state in FREE),
        budget=budget,
        toolbox=Toolbox(job.functions, timeout=calling.timeout) if job.functions else None,
    )


def requests_of(opened: OpenRun) -> Callable[[RowRecord, Sequence[Exchange], Ask], Request | Draft]:
    """What makes a row's next request. It raises RowError."""
    job, media = opened.job, opened.directory.media

    def next_of(row: RowRecord, exchanges: Sequence[Exchange], ask: Ask) -> Request | Draft:
        if row.data is None:
            raise RowError("bad_input", f"{row.source}: this row cannot be read")
        return next_request(Bodies(job, row.data, script_of(job, row.data), media), exchanges, ask)

    return next_of


def checks_of(job: Job) -> Callable[[RowRecord], Check | None]:
    """What judges an answer: its schema (the job's, or the row's own), then what the columns can hold."""
    shape = shape_of(job.schema.schema) if job.schema else None

    def check_for(row: RowRecord) -> Check | None:
        schema = job.request.schema_for(row.data or {})
        if schema is None:
            return None
        if shape is None or schema is not job.schema:
            return schema.problems
        return lambda answer: schema.problems(answer) or misfits(answer, shape)

    return check_for
