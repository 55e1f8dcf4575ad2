"""From an interaction's id to its durable answer: poll until it stops, is lost, or is late. Polls cost nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from batchrun.engine import polling
from batchrun.engine.attempt import Attempt
from batchrun.engine.events import Fetched, Observer, Polled
from batchrun.engine.limits import Lease, Limits
from batchrun.engine.pace import Pace
from batchrun.errors import CredentialError, RefusedError, RowError
from batchrun.interactions.client import Client
from batchrun.interactions.models import Interaction
from batchrun.spec.model import JobSpec
from batchrun.store.records import AttemptState, RowRecord
from batchrun.store.store import Store


class Waiter:
    """Fetches answers. `settle` is told the real input tokens of each."""

    def __init__(
        self,
        spec: JobSpec,
        store: Store,
        client: Client,
        wall: Callable[[], float],
        observe: Observer,
        settle: Callable[[Lease, int], None],
    ) -> None:
        self._spec, self._store, self._client, self._wall = spec, store, client, wall
        self._observe, self._settle = observe, settle
        self._pace = Pace(Limits(spec.poll.rpm))
        self._knows_earlier = False

    async def answer(self, row: RowRecord, attempt: Attempt) -> Interaction:
        """The attempt's answer; its raw bytes are durable when this returns. Raises RowError or RunError."""
        if attempt.raw is not None:
            return Interaction.parse(attempt.raw) or Interaction({})
        found = await self._wait(row, attempt)
        await self._keep(row, attempt, found)
        return found.interaction

    async def _keep(self, row: RowRecord, attempt: Attempt, found: polling.Answer) -> None:
        """Raw bytes and usage first; nobody has judged the answer yet."""
        answer, usage = found.interaction, found.interaction.usage or {}
        await self._store.fetched(
            attempt.id,
            found.raw,
            self._wall(),
            status=answer.status,
            model=answer.model,
            tier=answer.service_tier,
            usage=answer.usage,
            polls=attempt.polls,
        )
        spent, total = usage.get("total_input_tokens"), usage.get("total_tokens")
        if attempt.lease is not None and isinstance(spent, int):
            self._settle(attempt.lease, spent)
        self._observe(Fetched(row.key, total if isinstance(total, int) else None))

    async def _wait(self, row: RowRecord, attempt: Attempt) -> polling.Answer:
        """Poll until the interaction stops. Raises RowError if there will be no answer, RunError if none can come."""
        patience = polling.Patience(self._wall(), attempt.submitted_at + self._spec.poll.deadline)
        for delay in polling.delays(self._spec.poll, resumed=attempt.resumed):
            await asyncio.sleep(delay)
            poll = await self._poll(row, attempt)
            match patience.judge(poll, self._wall()):
                case polling.Answer() as answer:
                    return answer
                case polling.Verdict.LOST if attempt.resumed and not self._knows_earlier:
                    raise CredentialError(
                        "The service knows none of the interactions that an earlier run submitted: is this the API key "
                        f"of another project? Nothing was given up. ({poll})"
                    )
                case polling.Verdict.LOST:
                    raise await self._lost(attempt, poll)
                case polling.Verdict.LATE:
                    return await self._time_out(row, attempt)
                case polling.Verdict.DENIED:
                    raise CredentialError(f"The service does not accept the API key: {poll}. Rows stay resumable.")
                case polling.Verdict.UNREACHABLE:
                    raise RefusedError(f"Polls get no answer: {poll}. Rows stay resumable; run the same command again.")
            if isinstance(poll, polling.NoAnswer) and poll.retry_after:
                self._pace.pause(min(poll.retry_after, self._spec.retry.server_ceiling))
        raise AssertionError("delays never end")

    async def _poll(self, row: RowRecord, attempt: Attempt) -> polling.Poll:
        await self._pace.start()
        call = await self._client.get(attempt.interaction_id)
        attempt.polls += 1
        self._observe(Polled(row.key))
        poll = polling.of_poll(call, attempt.interaction_id, self._wall())
        if attempt.resumed and isinstance(poll, polling.Answer | polling.Running):
            self._knows_earlier = True
        return poll

    async def _lost(self, attempt: Attempt, poll: polling.Poll) -> RowError:
        """Billed, perhaps, and gone: never sent again by itself."""
        said = f"the service accepted {attempt.interaction_id} and no longer knows it: {poll}"
        await self._store.gone(attempt.id, AttemptState.LOST, attempt.polls, "lost", said)
        return RowError("lost", said)

    async def _time_out(self, row: RowRecord, attempt: Attempt) -> polling.Answer:
        """Past the deadline: cancel, look once more, keep an answer that came after all."""
        await self._client.cancel(attempt.interaction_id)
        poll = await self._poll(row, attempt)
        said = f"no answer within {self._spec.poll.deadline:g} s of its submission; it was cancelled ({poll})"
        if not isinstance(poll, polling.Answer):
            await self._store.gone(attempt.id, AttemptState.TIMED_OUT, attempt.polls, "timed_out", said)
        elif poll.interaction.status == "cancelled":
            await self._keep(row, attempt, poll)
        else:
            return poll
        raise RowError("timed_out", said)
