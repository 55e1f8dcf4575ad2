"""What every part of an engine works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from batchrun.engine.events import Observer, ignore
from batchrun.engine.hints import Hints
from batchrun.engine.steering import Steering
from batchrun.interactions.client import Client
from batchrun.store.reader import Reader
from batchrun.store.store import Store


@dataclass(frozen=True, slots=True)
class Means:
    """The run's checkpoint, the service, Unix time (`wall`), chance, whom to tell, what was said to the run, and who
    hints at what to look at. Sleeps follow the event loop.
    """

    store: Store
    reader: Reader
    client: Client
    wall: Callable[[], float]
    random: Random
    observe: Observer = ignore
    steering: Steering = field(default_factory=Steering)
    hints: Hints = field(default_factory=Hints)
