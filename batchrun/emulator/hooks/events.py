"""Which webhooks hear of an interaction: the request's own, and the project's that subscribed to such an event."""

from __future__ import annotations

from typing import Any

from batchrun.emulator.hooks.outbox import Event, Outbox
from batchrun.emulator.resources.table import Document, Table
from batchrun.emulator.rules.request import Order
from batchrun.emulator.storage import Kept

#: No event is documented for `incomplete`, so there is none: a client keeps polling as a safety net.
_KINDS = {
    "completed": "interaction.completed",
    "failed": "interaction.failed",
    "requires_action": "interaction.requires_action",
    "cancelled": "interaction.cancelled",
}


class Hooks:
    """The webhooks of one emulator and the box that their messages wait in."""

    def __init__(self, table: Table, outbox: Outbox) -> None:
        self.table = table
        self.outbox = outbox
        self._enabled: list[Document] = []
        self.reload()

    def reload(self) -> None:
        """After a change to the table: creates look only at what is enabled, without a query."""
        self._enabled = [hook for hook in self.table.all() if hook["state"] == "enabled"]

    def expect(self, kept: Kept, order: Order, status: str) -> None:
        """A background interaction will come to its end: whoever is to hear of it will, when it does."""
        if kind := _KINDS.get(status):
            self._put(kept.id, kind, kept.ready_at, order.body.get("webhook_config"))

    def wanted(self, order: Order) -> bool:
        return order.background and bool(self._enabled or order.body.get("webhook_config"))

    def cancelled(self, name: str, own: Any, now: float) -> None:
        """What was to be told at the end of an interaction is not true any more. `own` is its webhook_config."""
        for message in self.outbox.waiting_for(name):
            self.outbox.drop(message)
        self._put(name, "interaction.cancelled", now, own)

    def ping(self, hook: Document, now: float) -> None:
        self.outbox.put(Event(hook["id"], hook["id"], hook["uri"], "webhook.ping", now))

    def _put(self, name: str, kind: str, at: float, own: Any) -> None:
        """The request's own addresses stand in the place of the project's webhooks."""
        if own and own.get("uris"):
            for uri in own["uris"]:
                self.outbox.put(Event(name, "", uri, kind, at, own.get("user_metadata")))
            return
        for hook in self._enabled:
            if kind in hook["subscribed_events"]:
                self.outbox.put(Event(name, hook["id"], hook["uri"], kind, at))
