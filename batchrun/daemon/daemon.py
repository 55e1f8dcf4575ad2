"""The daemon: a watch for each job, new and changed job files noticed, a sign of life, and an orderly end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from batchrun.daemon.aside import Aside
from batchrun.daemon.jobs import JobFile, JobFiles, Problem
from batchrun.daemon.messages import Message
from batchrun.daemon.watch import Shared, Watch
from batchrun.plurals import counted

#: Seconds between two looks at the job files, and between two signs of life.
LOOK = 15.0
#: Seconds for which a look at the job files is waited for; later looks find what comes of it.
_READING = 1.0


class Daemon:
    """Looks after the jobs in `files` until `leave`. `beat` is called `every` so many seconds, and raises OSError.

    Children that do not stop within `grace` seconds are killed. Make it on the loop that runs it.
    """

    def __init__(
        self, files: JobFiles, shared: Shared, beat: Callable[[], None], grace: float = 60.0, every: float = LOOK
    ) -> None:
        self._files, self._shared, self._beat, self._grace, self._every = files, shared, beat, grace, every
        self._watches: dict[Path, tuple[Watch, asyncio.Task[None]]] = {}
        self._leaving = asyncio.Event()
        self._reading: asyncio.Future[tuple[dict[Path, JobFile], list[Problem]]] | None = None
        self._trouble, self._idle = "", False

    def leave(self) -> None:
        """Begin nothing more."""
        self._leaving.set()

    async def run(self) -> bool:
        """Until `leave`. False if children had to be killed after `grace` seconds."""
        while not self._leaving.is_set():
            try:
                self._beat()
                await self._look()
                self._trouble = ""
            except OSError as error:
                self._tell_trouble(str(error))
            except Exception as error:
                self._tell_trouble(f"batchrun itself failed: {type(error).__name__}: {error}")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._leaving.wait()
        return await self._end()

    # -- job files -----------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """A file may be written so that reading it takes minutes: meanwhile the jobs that are known go on."""
        if self._reading is None:
            self._reading = asyncio.get_running_loop().run_in_executor(Aside(), self._files.look)
        await asyncio.wait([self._reading], timeout=_READING)
        if self._reading.done():
            reading, self._reading = self._reading, None
            self._take(*reading.result())

    def _take(self, jobs: Mapping[Path, JobFile], problems: Sequence[Problem]) -> None:
        for problem in problems:
            self._shared.tell(Message("broken", problem.text, bad=True))
        for path, (watch, _) in self._watches.items():
            if watch.job is not None and path not in jobs:
                self._tell(watch.job, "gone", f"{path} is gone or broken: none of its slots begins")
                watch.change(None)
        for path, job in jobs.items():
            self._keep(path, job)
        self._tell_idle(not jobs)

    def _tell_idle(self, idle: bool) -> None:
        """Without a job a daemon looks well and does nothing: a volume may be mounted elsewhere."""
        if idle and not self._idle:
            places = ", ".join(str(place.absolute()) for place in self._files.places)
            said = f"{places}: no job with a `schedule` here that can be used; waiting for one"
            self._shared.tell(Message("trouble", said, bad=True))
        self._idle = idle

    def _keep(self, path: Path, job: JobFile) -> None:
        if path not in self._watches:
            watch = Watch(job, self._shared)
            self._watches[path] = watch, asyncio.create_task(watch.run())
        elif (watch := self._watches[path][0]).job == job:
            return
        else:
            watch.change(job)
        self._tell(job, "job", f"{path}: {job.schedule.cron}, {job.schedule.timezone}")

    # -- the end -------------------------------------------------------------------------------------------------------

    async def _end(self) -> bool:
        for watch, _ in self._watches.values():
            watch.leave()
        running = [watch.child for watch, _ in self._watches.values() if watch.child is not None]
        if running:
            said = f"stopping: {counted(len(running), 'run')} may take {self._grace:.0f} s to stop"
            self._shared.tell(Message("leaving", said))
        tasks = [task for _, task in self._watches.values()]
        late = (await asyncio.wait(tasks, timeout=self._grace))[1] if tasks else set()
        for child in running if late else ():
            child.kill()
        await asyncio.gather(*tasks)
        return not late

    def _tell(self, job: JobFile, action: str, text: str) -> None:
        self._shared.tell(Message(action, text, job.name))

    def _tell_trouble(self, text: str) -> None:
        if text != self._trouble:
            self._shared.tell(Message("trouble", text, bad=True))
        self._trouble = text
