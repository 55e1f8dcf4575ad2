"""One run at a time in a run directory: an flock on a file that is never removed."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

from batchrun.errors import LockedError, StoreError

#: Who looks whether a run goes on has the lock for a moment: longer on a busy machine, but then nobody has signed it.
_WHILE_OTHERS_LOOK, _WHILE_NOBODY_SIGNS = (0.001, 0.01), (0.05, 0.2, 0.5)
#: Descriptors of the locks that this process holds.
_HELD: set[int] = set()


def _let_go() -> None:
    """In a process that was forked off (the user's functions may do that), and may outlive the run."""
    for descriptor in _HELD:
        os.close(descriptor)
    _HELD.clear()


os.register_at_fork(after_in_child=_let_go)


class RunLock:
    """Held from creation until `close` or the death of the process; a fork of the process does not hold it.

    Raises LockedError if another process holds it, StoreError if it cannot be had at all.
    """

    def __init__(self, run_dir: Path, advice: str = "Wait for it to end, or watch it with `batchrun watch`.") -> None:
        try:
            self._fd = os.open(run_dir / "run.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unlocked(run_dir, error) from error
        try:
            self._take()
        except BlockingIOError:
            holder = _holder(_signature(self._fd))
            os.close(self._fd)
            raise LockedError(f"{run_dir}: this run is already going on{holder}; nothing was sent. {advice}") from None
        except OSError as error:
            os.close(self._fd)
            raise _unlocked(run_dir, error) from error
        _HELD.add(self._fd)
        self._sign(run_dir)

    def _take(self) -> None:
        """Raises BlockingIOError if another process has it, and is not merely looking (`running`)."""
        for pause in (*_WHILE_OTHERS_LOOK, *_WHILE_NOBODY_SIGNS):
            with suppress(BlockingIOError):
                return fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if pause in _WHILE_NOBODY_SIGNS and _is_of_the_living(os.pread(self._fd, 200, 0)):
                break
            time.sleep(pause)  # before any event loop runs
        return fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _sign(self, run_dir: Path) -> None:
        """Say who holds it."""
        note = json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode()
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, note, 0)
        except OSError as error:
            self.close()
            raise _unlocked(run_dir, error) from error

    def close(self) -> None:
        if self._fd in _HELD:
            _HELD.discard(self._fd)
            os.close(self._fd)


def myself() -> str:
    """What `running` says of a run of this process."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def _unlocked(run_dir: Path, error: OSError) -> StoreError:
    return StoreError(f"{run_dir}: cannot lock the run directory: {error.strerror}. Nothing was sent.")


def running(run_dir: Path) -> str | None:
    """Who holds the run directory, such as `process 7 on host`; None if nobody does."""
    try:
        descriptor = os.open(run_dir / "run.lock", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # if it is a pipe
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(_signature(descriptor)).strip(" ()") or "another process"
    finally:
        os.close(descriptor)
    return None


def held_since(run_dir: Path) -> float | None:
    """When the last process that held the run directory took hold of it (Unix seconds); None if none ever did."""
    try:
        return (run_dir / "run.lock").stat().st_mtime
    except OSError:
        return None


def _signature(descriptor: int) -> bytes:
    """What the holder says of itself. It says so a moment after it has the lock: until then a dead one's note is there.

    After a second whatever is there will do.
    """
    for pause in (0.01, 0.04, 0.2, 0.75):
        note = os.pread(descriptor, 200, 0)
        if _is_of_the_living(note):
            return note
        time.sleep(pause)  # only one that was refused waits here, before any event loop runs
    return os.pread(descriptor, 200, 0)


def _is_of_the_living(note: bytes) -> bool:
    """False for the note of a process of this machine that is gone."""
    try:
        value = json.loads(note)
        if value["host"] == socket.gethostname():
            os.kill(value["pid"], 0)
    except (ValueError, KeyError, TypeError, OverflowError, ProcessLookupError):
        return False
    except OSError:  # somebody else's
        return True
    return True


def _holder(note: bytes) -> str:
    try:
        value = json.loads(note)
        return f" (process {value['pid']} on {value['host']})"
    except (ValueError, KeyError, TypeError):
        return ""
