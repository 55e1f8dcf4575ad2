"""A local Interactions API server: the wire contract, made-up answers, a billing ledger and faults on demand.

It shares no code with the client on purpose: a model that is wrong on one side must not pass every test.
From the rest of the package it imports `batchrun.errors` and nothing else.
"""

from __future__ import annotations

from batchrun.emulator.clocks import MovableClock
from batchrun.emulator.emulator import Emulator
from batchrun.emulator.faults import FAULTS
from batchrun.emulator.latency import parse_latency
from batchrun.emulator.ledger import read_ledger
from batchrun.emulator.plans import load_faults
from batchrun.emulator.replies.modes import load_replies
from batchrun.emulator.serve import serve
from batchrun.emulator.service import Counts
from batchrun.emulator.settings import EmulatorSettings

__all__ = [
    "FAULTS",
    "Counts",
    "Emulator",
    "EmulatorSettings",
    "MovableClock",
    "load_faults",
    "load_replies",
    "parse_latency",
    "read_ledger",
    "serve",
]
