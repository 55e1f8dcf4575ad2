"""The emulator as its users hold it: a service and the app that serves it."""

from __future__ import annotations

from batchrun.emulator.app import App
from batchrun.emulator.bridge import attach_model
from batchrun.emulator.service import Counts, Service
from batchrun.emulator.settings import EmulatorSettings


class Emulator:
    """A local Interactions API. `app` is an ASGI app, `counts` what it was asked for; call `close` when done.

    Raises SpecError if the ledger, the state file or the model that `replies` names cannot be used.
    """

    def __init__(self, settings: EmulatorSettings | None = None) -> None:
        self.service = Service(settings or EmulatorSettings())
        try:
            attach_model(self.service)
        except BaseException:
            self.service.close()
            raise
        self.app = App(self.service)

    @property
    def counts(self) -> Counts:
        return self.service.counts

    def close(self) -> None:
        self.service.close()
