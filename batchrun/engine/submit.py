"""From a row's next request to an accepted interaction. Refusals are waited out here, for all rows at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from tenacity import AsyncRetrying, RetryCallState

from batchrun.engine import quota
from batchrun.engine.attempt import Attempt, Work
from batchrun.engine.conversation import Ask, Exchange, SendTurn, turn_of
from batchrun.engine.events import Paused
from batchrun.engine.key import KeyProbe
from batchrun.engine.means import Means
from batchrun.engine.media import Ready
from batchrun.engine.pace import Pace
from batchrun.engine.post import Poster, Posting
from batchrun.engine.request import Request
from batchrun.engine.retry import FullJitter, Meaning, classify, may_repeat, retry_options
from batchrun.engine.shelter import Shelter
from batchrun.errors import BatchrunError, CredentialError, ModelError, QuotaError, RefusedError, RowError, RunError
from batchrun.interactions.evidence import Ambiguous, Answer, NotSent, PostResult, Refused, Submitted
from batchrun.interactions.models import ApiError
from batchrun.store.records import AttemptState, RowRecord


class Submitter:
    """Gets requests accepted: a slot for each, and refusals waited out for all rows at once."""

    def __init__(self, work: Work, means: Means, poster: Poster, pace: Pace, shelter: Shelter, key: KeyProbe) -> None:
        self._work, self._poster, self._pace, self._shelter, self._key = work, poster, pace, shelter, key
        self._wall, self._observe, self._steering = means.wall, means.observe, means.steering
        self._calls = work.spec.retry.calls
        self._slots = asyncio.Semaphore(work.spec.limits.posts)
        wait = FullJitter(work.spec.retry, means.random, lambda: self._rounds)
        self._retrying = AsyncRetrying(**retry_options(wait, self._used_up, self._pause))
        self._rounds = 0
        self._reopens = float("-inf")

    async def submit(self, row: RowRecord, number: int, exchanges: Sequence[Exchange], ask: Ask) -> Attempt:
        """Send the row's next request until it is accepted or its fate is unknown. Raises RowError or RunError.

        Files are uploaded before; the slot is held from the building of the body to the id, so that few bodies are in
        memory and few POSTs are open.
        """
        await self._steering.may_send()
        self._shelter.require_open()
        ready = await self._ready(row, exchanges, ask)
        turn = ask.turn if isinstance(ask, SendTurn) else turn_of(exchanges, self._work.of(row).script_for(row))
        async with self._slots:
            posting = Posting(row, number, len(exchanges), turn, await self._finished(row, ready))
            result = await self._sent(posting)
            if self._work.of(row).media.disowned(posting.request, result):
                posting.request = await self._finished(row, await self._ready(row, exchanges, ask))
                result = await self._sent(posting)
            return await self._settled(posting, result)

    async def _ready(self, row: RowRecord, exchanges: Sequence[Exchange], ask: Ask) -> Request | Ready:
        """The row's request, or what it will be made of once there is a slot. Raises RowError or RunError."""
        stage = self._work.of(row)
        drafted = stage.next_request(row, exchanges, ask)
        if isinstance(drafted, Request):
            return drafted
        return await stage.media.ready(drafted)

    async def _finished(self, row: RowRecord, ready: Request | Ready) -> Request:
        if isinstance(ready, Request):
            return ready
        return await self._work.of(row).media.finished(ready)

    async def _sent(self, posting: Posting) -> PostResult:
        """What came of the POST, refusals waited out. tenacity costs a twentieth of a row, so it begins with one."""
        result = await self._post(posting)
        if not may_repeat(result):
            return result
        refusals = [result]

        async def post(posting: Posting) -> PostResult:
            return refusals.pop() if refusals else await self._post(posting)

        waited_out: PostResult = await self._retrying.copy()(post, posting)  # it keeps state while it runs
        return waited_out

    async def _post(self, posting: Posting) -> PostResult:
        result = await self._poster.post(posting)
        if isinstance(result, Submitted | Answer):
            self._rounds = 0
        return result

    def _used_up(self, state: RetryCallState) -> bool:
        """Tries are counted for all rows together, by rounds: a round is what starts between two pauses.

        A POST that gets through begins the count anew, so a rate limit alone never ends a row. Another refusal may be
        about the request, so it counts for the row as well.
        """
        assert state.outcome is not None
        posting, result = state.args[0], state.outcome.result()
        self._rounds += posting.started >= self._reopens
        about_the_row = isinstance(result, Refused) and result.status != 429 and state.attempt_number >= self._calls
        return self._rounds >= self._calls or about_the_row

    def _pause(self, state: RetryCallState) -> None:
        """A refusal closes the gate for every row, not only for the one that met it."""
        assert state.outcome is not None
        assert state.next_action is not None
        result, seconds = state.outcome.result(), state.next_action.sleep
        self._reopens = max(self._reopens, asyncio.get_running_loop().time() + seconds)
        self._pace.pause(seconds)
        said = f"HTTP {result.status} {result.error.code}" if isinstance(result, Refused) else result.reason
        self._observe(Paused(seconds, said))

    async def _settled(self, posting: Posting, result: PostResult) -> Attempt:
        """The attempt that came of it. An error that stops the run stops POSTs before the slot is free again."""
        try:
            return await self._attempt(posting, result)
        except RunError:
            self._shelter.closed = True
            raise

    async def _attempt(self, posting: Posting, result: PostResult) -> Attempt:
        in_doubt = self._in_doubt(posting)
        match result:
            case Submitted(interaction_id):
                return replace(in_doubt, state=AttemptState.SUBMITTED, interaction_id=interaction_id)
            case Answer():
                assert posting.answered is not None
                return posting.answered
            case Ambiguous(reason, _, reply):
                return replace(in_doubt, evidence=reason, reply=reply)
            case Refused():
                raise await self._refusal(posting, result)
            case NotSent(reason):
                raise RefusedError(f"Cannot reach the service: {reason}. Rows stay pending; run again later.")

    def _in_doubt(self, posting: Posting) -> Attempt:
        return Attempt(
            posting.attempt_id,
            AttemptState.AMBIGUOUS,
            posting.intent_key,
            submitted_at=self._wall(),
            agent=posting.request.agent,
            lease=posting.lease,
            kind=(posting.request.model, posting.exchange),
        )

    async def _refusal(self, posting: Posting, refused: Refused) -> BatchrunError:
        """The error that stops what it has to: the row, or the run."""
        said = f"HTTP {refused.status} {refused.error.code}: {refused.error.message.rstrip('.')}"
        match classify(refused):
            case Meaning.CREDENTIALS:
                return _key_refused(said)
            case Meaning.DENIED:
                return await self._denied(posting, said, refused.error)
            case Meaning.QUOTA:
                when = quota.advice(refused.error, self._wall())
                return QuotaError(f"The quota is used up: {said}. {when} Rows stay pending; then run the same command.")
            case Meaning.AGAIN if self._rounds >= self._calls:
                return RefusedError(f"The service refuses every request: {said}. Rows stay pending; run again later.")
        return RowError(refused.error.code, said)

    async def _denied(self, posting: Posting, said: str, error: ApiError) -> BatchrunError:
        """The key may be revoked, or accepted but not for a file that the row names, or not for this model, which a row
        may have named for itself."""
        request, asked = posting.request, self._work.of(posting.row).request
        if request.is_meant_by(error.message):
            return RowError(error.code, said)
        if not await self._key.accepted():
            return _key_refused(said)
        if request.model not in (asked.model, asked.agent):
            return RowError(error.code, said)
        return ModelError(
            f"The service accepts the API key, but does not let it use {request.model!r}: {said}. Give the key's "
            "project access to it, use a key that has it, or name another model in a run of its own. Rows stay pending."
        )


def _key_refused(said: str) -> CredentialError:
    return CredentialError(f"The service does not accept the API key: {said}. Rows stay pending.")
