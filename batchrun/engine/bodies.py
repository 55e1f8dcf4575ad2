"""The bodies of one row's requests, each joined to the conversation before it. Files stay references.

A stored conversation is joined by the id of the last interaction; one that the service does not keep is sent again
whole, every value as it was received. What does not carry over (tools, instructions, formats) goes with every request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchrun.engine import conversation
from batchrun.engine.conversation import Ask, Continue, Exchange, Script, SendResults, SendTurn, SendWord
from batchrun.errors import RowError, StoreError
from batchrun.interactions.models import Interaction
from batchrun.outputs.media import attached_steps
from batchrun.spec.load import Job
from batchrun.spec.stages import STAGES

#: What lets a research plan go ahead: the service wants an input with the approval.
_GO_AHEAD = "The plan is approved. Please go ahead."
#: How the types of steps end; those of content blocks do not.
_STEP_ENDINGS = ("_input", "_output", "_call", "_result", "thought")

Step = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bodies:
    """The requests of a row. `media` is the directory where answers' files are."""

    job: Job
    data: dict[str, Any]
    script: Script
    media: Path

    def body(self, exchanges: Sequence[Exchange], ask: Ask) -> dict[str, Any]:
        """The body that asks this after these exchanges, without what is the same for all. Raises RowError."""
        said = conversation.answers(exchanges, self.script)
        body = self._alone(exchanges, ask, said)
        if not exchanges:
            return self._continued(body)
        if isinstance(ask, Continue):
            body["continuation_token"] = ask.token
        if self.job.spec.request.store:
            return self._chained(body, exchanges[-1].answer)
        return {**body, "input": self._history(exchanges, ask, said)}

    def _continued(self, body: dict[str, Any]) -> dict[str, Any]:
        """The first request of a row, going on from the interaction of another stage if its own says so."""
        stage = self.job.stage_spec and self.job.stage_spec.continues
        if stage is None:
            return body
        known = self.data.get(STAGES, {}).get(stage, {}).get("interaction_id")
        if not known:
            raise RowError("nothing_to_continue", f"there is no interaction of stage {stage!r} to go on from")
        return {**body, "previous_interaction_id": known}

    def _alone(self, exchanges: Sequence[Exchange], ask: Ask, said: Sequence[str]) -> dict[str, Any]:
        """The request as if it stood alone. `said` are the answers to the user's turns."""
        if isinstance(ask, SendTurn):
            return {**self._rendered(ask.turn, said)}
        turn = conversation.turn_of(exchanges, self.script)
        # The input of the turn was sent with its first interaction.
        body = {name: value for name, value in self._rendered(turn, said).items() if name != "input"}
        if isinstance(ask, Continue):
            return body
        if isinstance(ask, SendWord):
            config = {**body.get("agent_config", {}), "collaborative_planning": not ask.word.go}
            body["agent_config"] = config
        return {**body, "input": self._input(ask, said)}

    def _input(self, ask: SendTurn | SendResults | SendWord, said: Sequence[str]) -> Any:
        match ask:
            case SendTurn(turn):
                return self._rendered(turn, said)["input"]
            case SendResults(results):
                return list(results)
            case SendWord(word):
                return word.text or _GO_AHEAD

    def _rendered(self, turn: int, said: Sequence[str]) -> dict[str, Any]:
        """The request of one of the user's turns. Raises RowError."""
        return self.job.request.render(self.data, turn, said[:turn]).body

    def _chained(self, body: dict[str, Any], last: Interaction) -> dict[str, Any]:
        body["previous_interaction_id"] = last.id
        if "agent" in body and last.environment_id:
            body["environment"] = last.environment_id
        return body

    def _history(self, exchanges: Sequence[Exchange], ask: Ask, said: Sequence[str]) -> list[Step]:
        """All steps so far and those asked now. What an answer in hops has brought so far is not among them: the
        service has it, and wants the input as it was."""
        kept = len(exchanges)
        while isinstance(ask, Continue) and kept and exchanges[kept - 1].answer.status == "requires_continuation":
            kept -= 1
        asks = [*conversation.asks(exchanges, self.script), ask]
        steps = [step for n in range(kept) for step in (*self._sent(asks[n], said), *self._received(exchanges[n]))]
        return [*steps, *self._sent(asks[kept], said)]

    def _sent(self, ask: Ask, said: Sequence[str]) -> list[Step]:
        """The steps that an exchange began with."""
        return [] if isinstance(ask, Continue) else as_steps(self._input(ask, said))

    def _received(self, exchange: Exchange) -> list[Step]:
        steps = [step for _, step in exchange.answer.own_steps]
        try:
            return attached_steps(steps, self.media)
        except StoreError as error:
            raise RowError("media_gone", str(error)) from None


def as_steps(said: Any) -> list[Step]:
    """An input as steps: text and content blocks become one `user_input` step."""
    if isinstance(said, str):
        return [{"type": "user_input", "content": [{"type": "text", "text": said}]}]
    if isinstance(said, dict):
        said = [said]
    if any(str(item.get("type", "")).endswith(_STEP_ENDINGS) for item in said if isinstance(item, dict)):
        return list(said)
    return [{"type": "user_input", "content": said}]
