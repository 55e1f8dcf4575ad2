"""Faults that stay with an interaction and change what every later call sees of it. They outlive the emulator."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from batchrun.emulator.answers import dump
from batchrun.emulator.envelopes import classic, not_found
from batchrun.emulator.faults import Rule
from batchrun.emulator.storage import Kept

_SCHEMA = "CREATE TABLE IF NOT EXISTS lasting (id TEXT PRIMARY KEY, kind TEXT, at REAL, usage BLOB)"
KINDS = frozenset({"403_after_create", "expired", "late_usage"})


class Lasting:
    """`any` is False as long as no interaction has such a fault; then `seen` need not be asked."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute(_SCHEMA)
        self.any = connection.execute("SELECT 1 FROM lasting LIMIT 1").fetchone() is not None

    def begin(self, kept: Kept, rule: Rule, usage: Mapping[str, Any] | None) -> None:
        """Let a fault begin that lasts; others pass."""
        if rule.kind not in KINDS:
            return
        since = kept.ready_at if rule.kind == "late_usage" else kept.created
        values = (kept.id, rule.kind, since + rule.delay, dump(usage or {}))
        self._connection.execute("INSERT OR REPLACE INTO lasting VALUES (?, ?, ?, ?)", values)
        self.any = True

    def forget(self, name: str) -> None:
        if self.any:
            self._connection.execute("DELETE FROM lasting WHERE id = ?", (name,))

    def seen(self, kept: Kept, now: float) -> Kept:
        """The interaction as its fault shows it. Raises `Refusal` where it hides it."""
        row = self._connection.execute("SELECT kind, at, usage FROM lasting WHERE id = ?", (kept.id,)).fetchone()
        if row is None:
            return kept
        kind, at, usage = row
        if kind == "403_after_create" and now < at:
            raise classic(403, f"You do not have permission to access interaction {kept.id}. (emulated)")
        if kind == "expired" and now >= at:
            raise not_found(kept.id)
        if kind == "late_usage" and now >= at:
            return kept._replace(tail=kept.tail[:-1] + b',"usage":' + usage + b"}")
        return kept
