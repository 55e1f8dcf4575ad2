"""Whether a checkpoint and its ledger are, to the byte, as the last run left them: then they need not be doubted.

`run.seal` has the size and CRC-32 of both. It is written when a run has ended well, and proves nothing where one died:
a checkpoint that was not closed has a write-ahead log.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from zlib import crc32

_NAME = "run.seal"
_CHUNK = 1 << 20


def seal(checkpoint: Path, ledger: Path) -> None:
    """Write the seal of a checkpoint that can be trusted and is closed. Without one it is looked through, no more."""
    with suppress(OSError):
        _place(checkpoint).write_text(_mark(checkpoint, ledger))
        _place(checkpoint).chmod(0o600)


def is_sealed(checkpoint: Path, ledger: Path) -> bool:
    """Whether both files are as they were when they were sealed."""
    log = checkpoint.with_name(f"{checkpoint.name}-wal")
    try:
        if log.exists() and log.stat().st_size:
            return False
        return _place(checkpoint).read_text() == _mark(checkpoint, ledger)
    except (OSError, ValueError):
        return False


def _place(checkpoint: Path) -> Path:
    return checkpoint.with_name(_NAME)


def _mark(*paths: Path) -> str:
    """Raises OSError."""
    return "".join(f"{path.name} {path.stat().st_size} {_checksum(path):08x}\n" for path in paths)


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            value = crc32(chunk, value)
    return value
