"""What the emulator can do on one core: create and get over a socket, asked by a client that costs little.

Judged by the server's CPU: the clock also counts the client's start and whatever else the machine is doing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.processes import measure, served, wall

TARGET = 2_000


def run(folder: Path, *, quick: bool) -> list[Figure]:
    rows = 3_000 if quick else 20_000
    with served(folder) as emulator:
        cpu, began = emulator.cpu, wall()
        measure((sys.executable, "-m", "benchmarks.light_client", emulator.url, str(rows)), folder)
        cpu, seconds = emulator.cpu - cpu, wall() - began
    rate = 2 * rows / cpu
    note = (
        f"requests a second of the server's CPU; by the clock it answered {2 * rows / seconds:,.0f}/s, start included"
    )
    return [Figure("emulator, create + get on one core", f"≥ {TARGET:,}/s", f"{rate:,.0f}/s", rate >= TARGET, note)]


def request_bytes(number: int) -> bytes:
    """The JSON of a background create."""
    body = {"model": "gemini-3.5-flash", "input": f"What is {number} plus {number}?", "background": True, "store": True}
    return json.dumps(body).encode()
