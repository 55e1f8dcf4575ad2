"""The emulator: its settings, its stored interactions, its books, and the app that serves them."""

from __future__ import annotations

from dataclasses import dataclass

from batchrun.emulator.app import App
from batchrun.emulator.faults import Faults
from batchrun.emulator.ledger import Ledger
from batchrun.emulator.quota import RequestQuota
from batchrun.emulator.refusals import Outages
from batchrun.emulator.settings import EmulatorSettings
from batchrun.emulator.storage import Store


@dataclass(slots=True)
class Counts:
    """Calls since the emulator was made. `posts` are creates, of which `billed` were billed and `refused` refused."""

    posts: int = 0
    billed: int = 0
    refused: int = 0
    gets: int = 0
    cancels: int = 0
    deletes: int = 0


class Emulator:
    """A local Interactions API. `app` is an ASGI app; call `close` when done.

    Raises SpecError if the ledger or the state file cannot be used.
    """

    def __init__(self, settings: EmulatorSettings | None = None) -> None:
        self.settings = settings or EmulatorSettings()
        self.counts = Counts()
        self.faults = Faults(self.settings.faults, self.settings.seed)
        self.outages = Outages()
        self.quota = RequestQuota(self.settings.rpm)
        self.store = Store(self.settings.state)
        self.ledger = Ledger(self.settings.ledger)
        self.app = App(self)

    def close(self) -> None:
        self.store.close()
        self.ledger.close()
