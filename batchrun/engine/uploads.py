"""Files to the service, each content once: for all rows that need it, for later runs, and for other jobs.

Uploads cost nothing, so they are repeated freely; they go on where they broke off, also after the process died. What
has been sent is in the registry before the next chunk goes out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import astuple, replace
from functools import cached_property, partial
from pathlib import Path
from random import Random

from tenacity import AsyncRetrying, RetryCallState, retry_if_not_result

from batchrun.engine.events import Observer, UploadFailed, ignore
from batchrun.engine.retry import FullJitter
from batchrun.engine.steering import Steering
from batchrun.engine.transfer import Source, Transfer, failure, file_name, no_room, reason_of, settled
from batchrun.errors import RowError
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Refused
from batchrun.interactions.files import KEPT_SECONDS, MOST_BYTES_OF_PROJECT, FilesApi, RemoteFile, Trouble
from batchrun.spec.model import JobSpec
from batchrun.store.files import Content, FileRegistry, Upload

_AT_ONCE = 4
#: A file that is used must live this long at least, in seconds.
_LEAST_LIFE = 3600.0
_FIRST_LOOK, _LOOK_GROWTH, _SLOWEST_LOOK = 1.0, 1.5, 15.0
_CLAIM_SECONDS = 1.0


class Uploads:
    """Brings files to the service that `client` talks to. `wall` gives Unix time. Close it before the client.

    While `steering` is paused no upload begins; those under way end.

    `directory` says where the registry is. It is opened with the first file: a run without uploads does without it.
    """

    def __init__(
        self,
        spec: JobSpec,
        directory: Callable[[], Path],
        client: Client,
        wall: Callable[[], float],
        random: Random,
        observe: Observer = ignore,
        steering: Steering | None = None,
    ) -> None:
        self._steering = steering or Steering()
        self._directory, self._client, self._wall, self._observe = directory, client, wall, observe
        self._api = FilesApi(client, wall)
        self._deadline, self._calls = spec.poll.deadline, spec.retry.calls
        self._wait = FullJitter(spec.retry, random)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._ready: dict[Content, Upload] = {}
        self._under_way: dict[Content, asyncio.Task[Upload]] = {}

    async def bring(self, source: Source) -> Upload:
        """The upload of a file, ACTIVE and alive for as long as a row may take. Raises RowError or RunError.

        Rows that need the same content at the same time wait for one upload.
        """
        content = Content(source.sha256, source.mime_type, self._owner, self._client.base_url)
        known = self._ready.get(content)
        if known is not None and self._lives(known):
            return known
        task = self._under_way.get(content)
        if task is None:
            task = asyncio.create_task(self._brought(content, source))
            self._under_way[content] = task
            task.add_done_callback(lambda done: self._ended(content, done))
        return await asyncio.shield(task)

    def forget(self, uploads: list[Upload]) -> None:
        """The service does not know these files any more, whatever the registry says."""
        for upload in uploads:
            self._ready.pop(upload.content, None)
            self._registry.forget(upload.content)

    async def aclose(self) -> None:
        """Leave what is under way where it is; a later run goes on with it."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if "_registry" in self.__dict__:
            self._registry.close()

    @cached_property
    def _registry(self) -> FileRegistry:
        return FileRegistry(self._directory())

    @cached_property
    def _owner(self) -> str:
        return self._client.fingerprint(self._registry.salt)

    def _ended(self, content: Content, task: asyncio.Task[Upload]) -> None:
        self._under_way.pop(content, None)
        if not task.cancelled() and task.exception() is None:
            self._ready[content] = task.result()

    def _lives(self, upload: Upload) -> bool:
        return upload.expires_at > self._wall() + max(self._deadline, _LEAST_LIFE)

    async def _brought(self, content: Content, source: Source) -> Upload:
        await self._steering.may_send()  # before the claim: other processes may wait for it
        async with self._claimed(content):
            known = self._registry.find(content)
            if known is not None and self._lives(known):
                if known.uri is None:
                    return await self._sent(known, source)
                if await self._still_there(known):
                    return known
            return await self._sent(self._announced(content, source, known), source)

    @asynccontextmanager
    async def _claimed(self, content: Content) -> AsyncIterator[None]:
        """Another process that uploads the same content is waited for."""
        while not self._registry.claim(content):
            await asyncio.sleep(_CLAIM_SECONDS)
        try:
            yield
        finally:
            self._registry.release(content)

    async def _still_there(self, upload: Upload) -> bool:
        """Whether the service still has a file of an earlier run, looked at once a run."""
        found = await self._repeated(partial(self._api.get, upload.name), upload.source)
        if isinstance(found, Refused) and found.status in (403, 404):
            return False
        remote = await self._active(found, upload.source)
        return remote.size == upload.size

    def _announced(self, content: Content, source: Source, known: Upload | None) -> Upload:
        """A new upload, on record before anything is sent. Raises RowError where the project has no room for it."""
        now, size = self._wall(), source.file.size
        if known is not None:
            self._registry.forget(content)
        held = self._registry.bytes_held(content.owner, content.target, now)
        if held + size > MOST_BYTES_OF_PROJECT:
            raise no_room(source.file.shown, f"{held / 1e9:.1f} GB of it are taken up by uploads of ours")
        name = file_name(*astuple(content), known.name if known is not None else "", repr(now))
        return self._registry.keep(Upload(content, name, size, source.file.shown, now, now + KEPT_SECONDS))

    async def _sent(self, upload: Upload, source: Source) -> Upload:
        """Every byte of it, however often the line breaks, and ACTIVE in the end."""
        transfer = Transfer(upload, source, self._api, self._registry)
        try:
            async with self._slots:
                found = await self._repeated(transfer.go_on, source.file.shown, lambda: transfer.progress)
            remote = await self._active(found, source.file.shown)
        except RowError:
            await transfer.give_up()
            raise
        return self._registry.keep(
            replace(
                transfer.upload,
                name=remote.name,
                uri=remote.uri,
                session=None,
                received=upload.size,
                expires_at=remote.expires_at or transfer.upload.expires_at,
            )
        )

    async def _repeated(
        self, call: Callable[[], Awaitable[RemoteFile | Trouble]], shown: str, progress: Callable[[], int] = lambda: 0
    ) -> RemoteFile | Trouble:
        """The call's answer, tried again while that may help. Tries that get further are not counted.

        `shown` is the file that it is about.
        """
        marks = [(0, 0)]

        def enough(state: RetryCallState) -> bool:
            if (now := progress()) > marks[-1][0]:
                marks.append((now, state.attempt_number - 1))
            return state.attempt_number - marks[-1][1] >= self._calls

        def tell(state: RetryCallState) -> None:
            assert state.outcome is not None
            assert state.next_action is not None
            self._observe(UploadFailed(shown, state.next_action.sleep, reason_of(state.outcome.result())))

        retrying = AsyncRetrying(
            stop=enough,
            wait=self._wait,
            before_sleep=tell,
            retry=retry_if_not_result(settled),
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )
        return await retrying(call)

    async def _active(self, found: RemoteFile | Trouble, shown: str) -> RemoteFile:
        """The file once it can be used. Raises RowError if it cannot be processed, or not in time."""
        until, delay = self._wall() + self._deadline, _FIRST_LOOK
        while True:
            if not isinstance(found, RemoteFile):
                raise failure(found, shown)
            if found.state == "ACTIVE":
                return found
            if found.state == "FAILED":
                raise RowError("upload_failed", f"{shown!r}: the service cannot process it: {found.error or 'FAILED'}")
            if self._wall() >= until:
                raise RowError("upload_failed", f"{shown!r}: still {found.state} {self._deadline:g} s after its upload")
            await asyncio.sleep(delay)
            delay = min(delay * _LOOK_GROWTH, _SLOWEST_LOOK)
            found = await self._repeated(partial(self._api.get, found.name), shown)
            if isinstance(found, Refused) and found.status in (403, 404):
                raise RowError("upload_failed", f"{shown!r}: deleted at the service before it could be used")
