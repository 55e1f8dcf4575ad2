"""Everything one emulator knows and remembers: settings, interactions, books, faults. The routes act on it."""

from __future__ import annotations

from dataclasses import dataclass

from batchrun.emulator.daybook import DayBook
from batchrun.emulator.endings import Endings
from batchrun.emulator.faults import Faults
from batchrun.emulator.files.shelf import Shelf
from batchrun.emulator.hooks.events import Hooks
from batchrun.emulator.hooks.outbox import Outbox
from batchrun.emulator.lasting import Lasting
from batchrun.emulator.ledger import Ledger
from batchrun.emulator.pool import Pool
from batchrun.emulator.priority import PriorityLane
from batchrun.emulator.quota import Quotas
from batchrun.emulator.refusals import Outages
from batchrun.emulator.resources.table import Table
from batchrun.emulator.settings import EmulatorSettings
from batchrun.emulator.storage import Kept, Store
from batchrun.errors import SpecError


@dataclass(slots=True)
class Counts:
    """Calls since the emulator was made. `posts` are creates, of which `billed` were billed and `refused` refused."""

    posts: int = 0
    billed: int = 0
    refused: int = 0
    gets: int = 0
    cancels: int = 0
    deletes: int = 0
    uploads: int = 0
    environments: int = 0
    webhooks: int = 0
    secrets: int = 0


class Service:
    """Raises SpecError if the ledger or the state file cannot be used."""

    def __init__(self, settings: EmulatorSettings) -> None:
        ledger, state = settings.ledger, settings.state
        if ledger is not None and state is not None and ledger.resolve() == state.resolve():
            raise SpecError(f"the ledger and the state cannot both be {str(ledger)!r}; choose two files")
        self.settings = settings
        self.counts = Counts()
        self.trust = settings.trust
        self.faults = Faults(settings.faults, settings.seed)
        self.outages = Outages()
        self.store = Store(settings.state)
        self.quota = Quotas(settings.limits_of, settings.in_flight, settings.limited, DayBook(self.store.connection))
        self.endings = Endings()
        self.lasting = Lasting(self.store.connection)
        self.files = Shelf(self.store.connection, settings.state)
        self.agents = Table(self.store.connection, "agent")
        self.environments = Table(self.store.connection, "environment")
        self.hooks = Hooks(Table(self.store.connection, "webhook"), Outbox(self.store.connection))
        self.priority = PriorityLane()
        self.ledger = Ledger(settings.ledger)
        self.pool: Pool | None = None

    def expired(self, kept: Kept, now: float) -> bool:
        """Whether an interaction is past its retention; one that still runs is not."""
        return now >= kept.created + self.settings.retention and not kept.running(now)

    def purge(self, now: float) -> None:
        """Let go of the oldest interactions that are past their retention."""
        for name in self.store.purge(now - self.settings.retention, now):
            self.lasting.forget(name)

    def close(self) -> None:
        if self.pool is not None:
            self.pool.close()
            self.pool = None  # with it goes a model that it holds
        self.store.close()
        self.files.close()
        self.ledger.close()
