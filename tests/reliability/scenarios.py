"""Small jobs that between them go every way a row can go. One row at a time, so that a death meets one row only."""

from __future__ import annotations

import json
import math
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.reliability.planted import Step, nothing
from tests.reliability.upgrades import become_later

ROWS = 3
#: What `noting.note` has done: a line for each call.
EFFECTS = "effects.txt"

_NOTING = '''
import os

def note(word: str) -> str:
    """Notes a word."""
    descriptor = os.open("effects.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, word.encode() + b"\\n")
    os.close(descriptor)
    return "noted"
'''


@dataclass(frozen=True, slots=True)
class Scenario:
    """A job by its sections, with the files that it needs.

    A run of its first `begun` rows has ended before; what `step` does is done in every process after that.
    """

    request: dict[str, Any]
    output: dict[str, Any] = field(default_factory=dict)
    files: Callable[[Path], None] = lambda where: None
    limits: dict[str, int] = field(default_factory=lambda: {"posts": 1, "in_flight": 1})
    begun: int = 0
    step: Step = nothing

    def write(self, where: Path, rows: int = ROWS, **sections: Any) -> None:
        """The job in `where`, which is made; its POSTs carry that directory's name as a label."""
        where.mkdir(parents=True, exist_ok=True)
        self.files(where)
        spec = {
            "name": "job",
            "input": {"path": "rows.jsonl", "key": "id"},
            "request": {"model": "gemini-3.5-flash", **self.request, "labels": {"where": where.name}},
            "limits": self.limits,
            "poll": {"first": "20ms", "rpm": None},
            "retry": {"ambiguous": {"model": "hold", "agent": "hold"}},
            **({"output": self.output} if self.output else {}),
            **sections,
        }
        (where / "job.json").write_text(json.dumps(spec))
        lines = [json.dumps({"id": f"r{n}", "word": f"word{n}"}) for n in range(rows)]
        (where / "rows.jsonl").write_text("\n".join(lines) + "\n")


def _sound(where: Path) -> None:
    """0.6 MB, sent as 0.8 MB of base64."""
    with wave.open(str(where / "sound.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(int(128 + 100 * math.sin(n / 9)) for n in range(600_000)))


def _video(where: Path) -> None:
    """Bytes for two chunks of an upload, most of them a hole."""
    with (where / "long.aac").open("wb") as file:
        file.write(b"\xff\xf1")
        file.truncate(9_000_000)


def _functions(where: Path) -> None:
    (where / "noting.py").write_text(_NOTING)


_SAY = "Say {{ word }}"

SCENARIOS = {
    "plain": Scenario({"input": _SAY}, {"jsonl": True, "steps": True}),
    "turns": Scenario({"turns": [_SAY, "Say it again"]}),
    "foreground": Scenario({"input": _SAY, "store": False}),
    "functions": Scenario({"input": _SAY, "functions": "noting"}, files=_functions),
    "inline": Scenario(
        {"input": [{"type": "text", "text": _SAY}, {"type": "audio", "path": "sound.wav"}]}, files=_sound
    ),
    "uploads": Scenario(
        {"input": [{"type": "text", "text": _SAY}, {"type": "audio", "path": "long.aac"}], "inline_limit": 1000},
        files=_video,
    ),
    "media": Scenario(
        {"model": "gemini-3.1-flash-image", "input": _SAY, "response_format": {"type": "image", "image_size": "512"}},
        {"dir": "out"},
    ),
    "addresses": Scenario(
        {
            "model": "gemini-3.1-flash-image",
            "input": _SAY,
            "response_format": {"type": "image", "image_size": "512", "delivery": "uri"},
        },
    ),
    "upgrade": Scenario({"input": _SAY}, begun=1, step=become_later),
}
