"""One delivery as it came, and the event in it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batchrun.interactions.evidence import INTENT_LABEL
from batchrun.interactions.models import usable_id

#: The time in a message may differ by so many seconds from ours, either way.
WINDOW = 300.0
_ID = re.compile(r"[!-~]{1,256}")
_SECONDS = re.compile(r"[0-9]{1,12}")
_KIND = re.compile(r"interaction\.[a-z_]{1,40}")
_INTENT = re.compile(r"br1-[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Message:
    """A delivery by Standard Webhooks: who it says it is, when (Unix seconds), how that is proved, and the raw body."""

    id: str
    timestamp: int
    signature: str
    body: bytes

    def in_time(self, now: float) -> bool:
        """Whether it was sent just now, as it says."""
        return abs(now - self.timestamp) <= WINDOW


def message_of(headers: Mapping[str, str], body: bytes) -> Message | None:
    """The message in a request, None where one of its headers is missing or malformed. Names are lower case."""
    name, seconds = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    signature = headers.get("webhook-signature", "")
    if not (_ID.fullmatch(name) and _SECONDS.fullmatch(seconds) and signature):
        return None
    return Message(name, int(seconds), signature, body)


@dataclass(frozen=True, slots=True)
class Event:
    """An interaction has stopped; `intent_key` names the POST that made it, empty where the event does not say."""

    interaction_id: str
    intent_key: str = ""


def event_of(said: Any) -> Event | None:
    """The event in a message's JSON, None where it is about something else, or nothing that can be used."""
    if not isinstance(said, dict) or not _KIND.fullmatch(str(said.get("type"))):
        return None
    data = said.get("data")
    name = usable_id(data.get("id")) if isinstance(data, dict) else None
    if not isinstance(data, dict) or name is None:
        return None
    metadata = data.get("user_metadata")
    intent = metadata.get(INTENT_LABEL) if isinstance(metadata, dict) else None
    return Event(name, intent if isinstance(intent, str) and _INTENT.fullmatch(intent) else "")
