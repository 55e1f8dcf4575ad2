"""One POST, the step that costs money: the intent is durable before it, what it proved is durable after it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from batchrun.engine.attempt import Attempt, Work
from batchrun.engine.events import Posted
from batchrun.engine.keep import Keeper
from batchrun.engine.limits import Lease
from batchrun.engine.means import Means
from batchrun.engine.pace import Pace
from batchrun.engine.request import Request, intent_key
from batchrun.engine.shelter import Shelter
from batchrun.interactions import evidence
from batchrun.interactions.evidence import Ambiguous, Answer, NotSent, PostResult, Refused, Submitted
from batchrun.store.records import AttemptState, Intent, RowRecord


@dataclass(slots=True)
class Posting:
    """A row's request on its way. `exchange` is its number in the conversation, `turn` that of the user's turn.

    `attempt_id` is known once the intent is durable, `started` is the loop's time. `answered` is the attempt of a POST
    that brought its answer.
    """

    row: RowRecord
    number: int
    exchange: int
    turn: int
    request: Request
    intent_key: str = ""
    attempt_id: int = 0
    lease: Lease | None = None
    started: float = 0.0
    answered: Attempt | None = None


class Poster:
    """Makes POSTs as fast as the `paces` of their stages allow, each in `shelter`: cut off, a paid answer would be
    unknown."""

    def __init__(self, work: Work, means: Means, keeper: Keeper, paces: Mapping[str, Pace], shelter: Shelter) -> None:
        self.posts = 0
        self._work, self._keeper, self._paces, self._shelter = work, keeper, paces, shelter
        self._store, self._client, self._wall, self._observe = means.store, means.client, means.wall, means.observe
        self._steering = means.steering

    async def post(self, posting: Posting) -> PostResult:
        """Send the request once. Raises StoreError if what happens cannot be made durable."""
        self._steering.require_begun(posting.exchange > 0 or posting.number > 1)
        stage, budget = self._work.of(posting.row), self._work.budget_of(posting.row)
        timeout = stage.spec.poll.deadline if stage.waits else None
        charge = None if budget is None else await budget.set_aside(posting.row.id, posting.request)
        try:
            posting.lease = await self._paces[stage.name].start(posting.request.tokens)
        except asyncio.CancelledError:
            if budget is not None:  # others may wait for what was set aside
                await budget.posted(posting.row.id, AttemptState.NOT_SENT)
            raise
        posting.started = asyncio.get_running_loop().time()
        intent = self._intent(posting, charge)
        posting.intent_key = intent.intent_key
        body = posting.request.body(intent.intent_key, "" if stage.waits else self._work.told_at)
        with self._shelter.hold():
            posting.attempt_id = await self._store.arm(intent, self._wall(), posting.attempt_id)
            self.posts += 1
            call = await self._client.create(body, timeout)
            result = evidence.of_post(call, self._wall(), waits=stage.waits, intent_key=intent.intent_key)
            await self._record(posting, result)
        self._observe(_posted(posting, result, asyncio.get_running_loop().time()))
        return result

    def _intent(self, posting: Posting, charge: int | None) -> Intent:
        row, request = posting.row, posting.request
        name = intent_key(self._work.run_id, row.key, posting.exchange, posting.number)
        return Intent(
            row.id,
            row.key,
            posting.number,
            name,
            request.sha,
            request.model,
            request.agent,
            exchange=posting.exchange,
            turn=posting.turn,
            files=request.media,
            charge=charge,
            input_sha=row.input_sha,
            tokens=request.tokens,
        )

    async def _record(self, posting: Posting, result: PostResult) -> None:
        state, attempt_id = state_of(result), posting.attempt_id
        assert posting.lease is not None
        if isinstance(result, Submitted | Answer):
            posting.lease.accepted()
        else:
            posting.lease.give_back()
        if (budget := self._work.budget_of(posting.row)) is not None:
            await budget.posted(posting.row.id, state)
        match result:
            case Submitted(interaction_id):
                await self._store.submitted(attempt_id, interaction_id, self._wall())
            case Answer(_, interaction):
                posting.answered = Attempt(
                    attempt_id, AttemptState.FETCHED, posting.intent_key, interaction.id or "", self._wall()
                )
                posting.answered.lease = posting.lease
                posting.answered.answer = await self._keeper.keep(posting.row, posting.answered, result)
            case Refused(status, error):
                await self._store.not_submitted(attempt_id, state, error.message, status, error.code)
            case Ambiguous(reason, http_status, reply):
                await self._store.not_submitted(attempt_id, state, reason, http_status, "ambiguous", reply)
            case NotSent(reason):
                await self._store.not_submitted(attempt_id, state, reason, None, "not_sent")


def _posted(posting: Posting, result: PostResult, now: float) -> Posted:
    row, name, said = posting.row, None, None
    match result:
        case Submitted(interaction_id):
            name = interaction_id
        case Answer(_, interaction):
            name = interaction.id
        case Refused(status, error):
            said = f"HTTP {status} {error.code}: {error.message}"
        case Ambiguous(reason) | NotSent(reason):
            said = reason
    return Posted(row.key, state_of(result).value, row.stage, name, posting.number, now - posting.started, said)


def state_of(result: PostResult) -> AttemptState:
    """The state in which a POST leaves its attempt."""
    match result:
        case Submitted():
            return AttemptState.SUBMITTED
        case Answer():
            return AttemptState.FETCHED
        case Refused():
            return AttemptState.REFUSED
        case NotSent():
            return AttemptState.NOT_SENT
        case Ambiguous():
            return AttemptState.AMBIGUOUS
