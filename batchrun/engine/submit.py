"""The one step that costs money: intent, POST, proof. Refusals are waited out here, for all rows at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

from tenacity import AsyncRetrying, RetryCallState

from batchrun.engine.attempt import Attempt, Work
from batchrun.engine.conversation import Ask, Exchange, Say, turn_of
from batchrun.engine.events import Observer, Paused, Posted
from batchrun.engine.keep import Keeper
from batchrun.engine.limits import Lease, Limits
from batchrun.engine.media import Ready
from batchrun.engine.pace import Pace
from batchrun.engine.request import Prepared, intent_key
from batchrun.engine.retry import Meaning, classify, retry_options
from batchrun.errors import BatchrunError, CredentialError, QuotaError, RefusedError, RowError, RunError
from batchrun.interactions import evidence
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Ambiguous, Answer, NotSent, PostResult, Refused, Submitted
from batchrun.store.records import AttemptState, RowRecord
from batchrun.store.store import Intent, Store


@dataclass(slots=True)
class Posting:
    """A row's request on its way. `exchange` is its number in the conversation, `turn` that of the user's turn.

    `attempt_id` is known once the intent is durable, `started` is the loop's time.
    """

    row: RowRecord
    number: int
    exchange: int
    turn: int
    prepared: Prepared
    attempt_id: int = 0
    lease: Lease | None = None
    started: float = 0.0
    answered: Attempt | None = None


class Submitter:
    """Makes POSTs at the job's pace. `open_posts` are the tasks that must not be cancelled now."""

    def __init__(
        self, work: Work, store: Store, client: Client, wall: Callable[[], float], random: Random, observe: Observer
    ) -> None:
        limits = work.spec.limits
        self.open_posts: set[asyncio.Task[None]] = set()
        self.stopping = False
        self.posts = 0
        self.keeper = Keeper(store, client, work.answers, wall, observe, self.settle)
        self._work, self._store, self._client, self._wall, self._observe = work, store, client, wall, observe
        self._timeout = work.spec.poll.deadline if work.waits else None
        self._calls = work.spec.retry.calls
        self._slots = asyncio.Semaphore(limits.posts)
        self._pace = Pace(Limits(limits.rpm, limits.tpm))
        self._retrying = AsyncRetrying(**retry_options(work.spec.retry, random, self._used_up, self._pause))
        self._rounds = 0
        self._reopens = float("-inf")

    async def submit(self, row: RowRecord, number: int, exchanges: Sequence[Exchange], ask: Ask) -> Attempt:
        """Send the row's next request until it is accepted or its fate is unknown. Raises RowError or RunError.

        Files are uploaded before; the slot is held from the building of the body to the id, so that few bodies are in
        memory and few POSTs are open.
        """
        ready = await self._ready(row, exchanges, ask)
        turn = ask.turn if isinstance(ask, Say) else turn_of(exchanges, self._work.script_for(row))
        async with self._slots:
            posting = Posting(row, number, len(exchanges), turn, await self._finished(ready))
            result: PostResult = await self._retrying.copy()(self._post, posting)  # it keeps state while it runs
            if self._work.media.disowned(posting.prepared, result):
                posting.prepared = await self._finished(await self._ready(row, exchanges, ask))
                result = await self._retrying.copy()(self._post, posting)
            return self._settled(posting, result)

    async def _ready(self, row: RowRecord, exchanges: Sequence[Exchange], ask: Ask) -> Prepared | Ready:
        """The row's request, or what it will be made of once there is a slot. Raises RowError or RunError."""
        drafted = self._work.prepare(row, exchanges, ask)
        if isinstance(drafted, Prepared):
            return drafted
        return await self._work.media.ready(drafted)

    async def _finished(self, ready: Prepared | Ready) -> Prepared:
        if isinstance(ready, Prepared):
            return ready
        return await self._work.media.finished(ready)

    def settle(self, lease: Lease, tokens: int) -> None:
        """The request behind `lease` really cost this many input tokens."""
        self._pace.limits.settle(lease, tokens)

    async def _post(self, posting: Posting) -> PostResult:
        """One POST: the intent is durable before it, what it proved is durable before anything else happens."""
        posting.lease = await self._pace.start(posting.prepared.tokens)
        posting.started = asyncio.get_running_loop().time()
        intent = self._intent(posting)
        body = posting.prepared.body(intent.intent_key)
        with self._unstoppable():
            posting.attempt_id = await self._store.arm(intent, self._wall(), posting.attempt_id)
            self.posts += 1
            call = await self._client.create(body, self._timeout)
            result = evidence.of_post(call, self._wall(), waits=self._work.waits)
            await self._record(posting, result)
        self._observe(Posted(posting.row.key, state_of(result).value))
        return result

    @contextmanager
    def _unstoppable(self) -> Iterator[None]:
        """Between intent and outcome a stop waits: leaving now would make a paid answer unknown."""
        task = asyncio.current_task()
        assert task is not None
        self._leave_if_stopping()
        self.open_posts.add(task)
        try:
            yield
        finally:
            self.open_posts.discard(task)
        self._leave_if_stopping()

    def _leave_if_stopping(self) -> None:
        if self.stopping:
            raise asyncio.CancelledError

    def _intent(self, posting: Posting) -> Intent:
        row, prepared = posting.row, posting.prepared
        name = intent_key(self._work.run_id, row.key, "", posting.exchange, posting.number)
        return Intent(
            row.id,
            posting.number,
            name,
            prepared.sha,
            prepared.model,
            prepared.agent,
            exchange=posting.exchange,
            turn=posting.turn,
            files=prepared.media,
        )

    async def _record(self, posting: Posting, result: PostResult) -> None:
        state, attempt_id = state_of(result), posting.attempt_id
        if isinstance(result, Submitted | Answer):
            self._rounds = 0
            self._pace.limits.accepted()
        elif posting.lease is not None:
            self._pace.limits.give_back(posting.lease)
        match result:
            case Submitted(interaction_id):
                await self._store.submitted(attempt_id, interaction_id, self._wall())
            case Answer(_, interaction):
                posting.answered = Attempt(attempt_id, AttemptState.FETCHED, interaction.id or "", self._wall())
                posting.answered.lease = posting.lease
                posting.answered.answer = await self.keeper.keep(posting.row, posting.answered, result)
            case Refused(status, error):
                await self._store.not_submitted(attempt_id, state, error.message, status, error.code)
            case Ambiguous(reason, http_status):
                await self._store.not_submitted(attempt_id, state, reason, http_status, "ambiguous")
            case NotSent(reason):
                await self._store.not_submitted(attempt_id, state, reason, None, "not_sent")

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

    def _settled(self, posting: Posting, result: PostResult) -> Attempt:
        """The attempt that came of it. An error that stops the run stops POSTs before the slot is free again."""
        try:
            return self._attempt(posting, result)
        except RunError:
            self.stopping = True
            raise

    def _attempt(self, posting: Posting, result: PostResult) -> Attempt:
        match result:
            case Submitted(interaction_id):
                known = Attempt(posting.attempt_id, AttemptState.SUBMITTED, interaction_id, self._wall())
                known.lease = posting.lease
                known.kind = posting.prepared.model, posting.exchange
                return known
            case Answer():
                assert posting.answered is not None
                return posting.answered
            case Ambiguous(reason):
                agent = posting.prepared.agent
                return Attempt(posting.attempt_id, AttemptState.AMBIGUOUS, evidence=reason, agent=agent)
            case Refused():
                raise self._refusal(posting, result)
            case NotSent(reason):
                raise RefusedError(f"Cannot reach the service: {reason}. Rows stay pending; run again later.")

    def _refusal(self, posting: Posting, refused: Refused) -> BatchrunError:
        """Whom it stops. A row that names a model of its own may be denied that model alone."""
        said = f"HTTP {refused.status} {refused.error.code}: {refused.error.message.rstrip('.')}"
        request = self._work.spec.request
        its_own = posting.prepared.model not in (request.model, request.agent)
        match classify(refused):
            case Meaning.CREDENTIALS if not (its_own and refused.status == 403):
                return CredentialError(f"The service does not accept the API key: {said}. Rows stay pending.")
            case Meaning.QUOTA:
                return QuotaError(f"The quota is used up: {said}. Rows stay pending; run the same command later.")
            case Meaning.AGAIN if self._rounds >= self._calls:
                return RefusedError(f"The service refuses every request: {said}. Rows stay pending; run again later.")
        return RowError(refused.error.code, said)


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
