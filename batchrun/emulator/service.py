"""Everything one emulator knows and remembers: settings, interactions, books, faults. The routes act on it."""

from __future__ import annotations

from dataclasses import dataclass

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


class Service:
    """Raises SpecError if the ledger or the state file cannot be used."""

    def __init__(self, settings: EmulatorSettings) -> None:
        self.settings = settings
        self.counts = Counts()
        self.faults = Faults(settings.faults, settings.seed)
        self.outages = Outages()
        self.quota = RequestQuota(settings.rpm)
        self.store = Store(settings.state)
        self.ledger = Ledger(settings.ledger)

    def close(self) -> None:
        self.store.close()
        self.ledger.close()
