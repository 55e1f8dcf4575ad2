"""An interaction put together from the events of its stream. Pure: events in, pieces to show and the whole out.

Facts: Api-Revision 2026-05-20. `interaction.completed` ends a stream whatever the interaction came to, and normally
has no steps; a stream without it is cut. Events and deltas that nobody knows are kept in the answer, under `unread`.
"""

from __future__ import annotations

from typing import Any

from batchrun.interactions.models import ApiError, Interaction, parse_json, usable_id
from batchrun.interactions.pieces import Piece, Status, Step, Unread, started
from batchrun.interactions.sse import Event
from batchrun.interactions.streamed_step import StreamedStep, begun_by


class Assembly:
    """`completed` once the whole answer has come; `failure` says why it will not, for a stream that told so itself."""

    def __init__(self) -> None:
        self.completed = False
        self.failure: str | None = None
        self._fields: dict[str, Any] = {}
        self._steps: dict[int, StreamedStep] = {}
        self._open: set[int] = set()
        self._errors: list[dict[str, Any]] = []
        self._unread: list[dict[str, Any]] = []

    @property
    def interaction_id(self) -> str | None:
        return usable_id(self._fields.get("id"))

    @property
    def steps(self) -> dict[int, Step]:
        """The steps so far by their index."""
        return {index: self._steps[index].step for index in sorted(self._steps)}

    @property
    def told(self) -> dict[int, Step]:
        """What the pieces have told of each step: of a call or result that is not complete, nothing yet."""
        shown = ("content", "summary")
        return {
            index: {name: step[name] for name in shown if name in step} if index in self._open else step
            for index, step in self.steps.items()
        }

    @property
    def lacking(self) -> bool:
        """Whether a complete answer leaves out what a later look may show: its usage, or why it failed."""
        told = Interaction(self._fields)
        return told.usage is None or (told.status == "failed" and told.error is None)

    @property
    def complaint(self) -> str | None:
        """What the stream itself gave as the reason if it ends early."""
        return said(ApiError.of(self._errors[-1])) if self._errors else None

    def whole(self) -> dict[str, Any]:
        """The interaction as far as it is known."""
        steps = self._fields.get("steps") or list(self.steps.values())
        unread = {"unread": self._unread} if self._unread else {}
        told = {"steps": steps} if steps or self._fields.get("status") == "completed" else {}
        return {**self._fields, **told, **unread}

    def take(self, event: Event) -> list[Piece]:
        """Take one event in. Returns what it has to show."""
        if event.data.strip() == b"[DONE]":
            self.completed = self.completed or Interaction(self._fields).stopped
            self.failure = None if self.completed else "it ended without telling what the interaction came to"
            return []
        told = parse_json(event.data)
        if not isinstance(told, dict):
            error = ApiError.parse(event.data)
            self.failure = said(error) if error else "an event came that cannot be read"
            return []
        kind = told.get("event_type") or event.name
        return self._take_step(kind, told) if str(kind).startswith("step.") else self._take_other(kind, told)

    def _take_other(self, kind: object, told: dict[str, Any]) -> list[Piece]:
        match kind, told:
            case "interaction.completed", {"interaction": dict(fields)}:
                self._merge({"errors": self._errors or None, **fields})
                self.completed = True
                return [piece for index in sorted(self._open) for piece in self._close(index)]
            case "interaction.status_update", _:
                names = ("status", "usage", "continuation_token")
                return self._merge({"id": told.get("interaction_id"), **{name: told.get(name) for name in names}})
            case str(name), {"interaction": dict(fields)} if name.startswith("interaction."):
                return self._merge({**fields, "steps": None})
            case "error", _:
                error = told.get("error")
                if isinstance(error, dict) and (error.get("code") or error.get("message")):
                    self._errors.append(error)
                return []  # an empty one means nothing, and the stream may go on after any
        return self._leave(told)

    def _take_step(self, kind: object, told: dict[str, Any]) -> list[Piece]:
        match kind, told:
            case "step.start", {"index": int(index), "step": dict(step)} if index not in self._steps:
                return self._begin(index, step)
            case "step.delta", {"index": int(index), "delta": dict(delta)}:
                begun = [] if index in self._steps else self._begin(index, begun_by(delta))
                shown = self._steps[index].add(delta)
                return [*begun, *(self._leave(told) if shown is None else shown)]
            case "step.stop", {"index": int(index)} if index in self._steps:
                return self._close(index)
        return self._leave(told)

    def _begin(self, index: int, step: Step) -> list[Piece]:
        self._steps[index] = StreamedStep(index, step)
        self._open.add(index)
        return [started(index, step), *self._steps[index].opening()]

    def _close(self, index: int) -> list[Piece]:
        if index not in self._open:
            return []
        self._open.discard(index)
        return list(self._steps[index].close())

    def _merge(self, fields: dict[str, Any]) -> list[Piece]:
        """What is told later holds, but the first id stays: it is the one that the POST was answered with."""
        before = (self._fields.get("id"), self._fields.get("status"))
        known = {"id": self._fields["id"]} if self.interaction_id else {}
        self._fields |= {name: value for name, value in fields.items() if value is not None} | known
        now = Interaction(self._fields)
        return [Status(now.id, now.status)] if before != (self._fields.get("id"), self._fields.get("status")) else []

    def _leave(self, told: dict[str, Any]) -> list[Piece]:
        self._unread.append(told)
        return [Unread(told)]


def said(error: ApiError) -> str:
    return f"{error.code}: {error.message}" if error.message else error.code
