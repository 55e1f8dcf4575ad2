"""Text of scanned PDF pages, read by `tesseract` where that is installed."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence

from batchrun.emulator.media import pdf
from batchrun.emulator.media.medium import Unusable

_PROGRAM = "tesseract"
_DOTS_PER_INCH = 200
_MOST_PAGES = 20
_LONGEST_SECONDS = 120.0
_SHARED = frozenset(
    {"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TESSDATA_PREFIX", "LD_LIBRARY_PATH", "OMP_THREAD_LIMIT"}
)


async def read_scan(content: bytes, numbers: Sequence[int]) -> str:
    """The text of the first pages of those numbered from 0. Raises `Unusable` without the program, or if it fails."""
    program = shutil.which(_PROGRAM)
    if program is None:
        raise Unusable(f"the PDF has no text layer; install {_PROGRAM} to have scans read")
    pages = await asyncio.to_thread(lambda: list(drawn(content, numbers)))
    texts = [await asyncio.to_thread(_recognised, program, page) for page in pages]
    return "\n".join(texts)


def drawn(content: bytes, numbers: Sequence[int] | None = None) -> Iterator[bytes]:
    """The first of these pages of a PDF, or of all, as grey PGM pictures."""
    import pypdfium2

    with pdf.one_at_a_time:
        document = pypdfium2.PdfDocument(content)
        for number in (range(len(document)) if numbers is None else numbers)[:_MOST_PAGES]:
            page = document[number]
            bitmap = page.render(scale=_DOTS_PER_INCH / 72, grayscale=True)
            yield _pgm(bitmap.width, bitmap.height, bitmap.stride, bytes(bitmap.buffer))
            bitmap.close()
            page.close()
        document.close()


def _pgm(width: int, height: int, stride: int, grey: bytes) -> bytes:
    rows = (grey[at : at + width] for at in range(0, stride * height, stride))
    return b"P5 %d %d 255\n" % (width, height) + b"".join(rows)


def _environment() -> dict[str, str]:
    """What a program needs to find its files, and nothing that is a secret."""
    return {name: value for name, value in os.environ.items() if name in _SHARED}


def _recognised(program: str, page: bytes) -> str:
    try:
        done = subprocess.run(
            [program, "-", "-"], input=page, capture_output=True, timeout=_LONGEST_SECONDS, env=_environment()
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unusable(f"{_PROGRAM} failed: {error}") from error
    if done.returncode != 0:
        raise Unusable(f"{_PROGRAM} failed: {done.stderr.decode('utf-8', 'replace').strip()[-200:]}")
    return done.stdout.decode("utf-8", "replace")
