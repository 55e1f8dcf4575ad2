"""What to do next with a row, given what has happened: pure, one case a status, no I/O.

A conversation is the list of its exchanges. Turns, replies to function calls, continuations and research plans are
cases in `follow`; what ends a row is judged in `after`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from batchrun.interactions.models import FunctionCall, Interaction
from batchrun.interactions.turns import last_answer
from batchrun.outputs.answers import parse_answer
from batchrun.plurals import counted
from batchrun.rows import Finish, Outcome

#: Finds what is wrong with a parsed answer; an empty list means it is right.
Check = Callable[[object], list[str]]

#: Failures of the service (not of the request) that a new interaction may well not meet.
PASSING = frozenset(
    {
        "api_error", "internal", "unavailable", "service_unavailable", "deadline_exceeded", "gateway_timeout",
        "malformed_function_call", "malformed_tool_call", "unexpected_tool_call", "too_many_tool_calls",
        "missing_thought_signature", "no_image", "aborted",
    }
)  # fmt: skip
#: The service will not say or show this: the same request meets the same refusal.
BLOCKING = frozenset(
    {
        "safety", "recitation", "language", "prohibited_content", "spii", "blocklist", "content_blocked",
        "image_safety", "image_prohibited_content", "image_recitation", "image_other",
    }
)  # fmt: skip
#: What judging an answer may raise that nobody foresaw, whatever a server says.
UNREADABLE = (TypeError, ValueError, LookupError, AttributeError, RecursionError)
#: Hops of one answer: more is a server that never ends.
_MOST_HOPS = 32


@dataclass(frozen=True, slots=True)
class Word:
    """The user's word on a research plan: go ahead, or make another plan that heeds `text`."""

    go: bool
    text: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One interaction of a row that has stopped. `results` are the `function_result` steps that answer its calls,
    once the functions have run; `word` is what the user said to the plan in it."""

    attempt_id: int
    answer: Interaction
    results: tuple[dict[str, Any], ...] | None = None
    word: Word | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """What the job wants of a row's conversation. `plans` is true where the first answer is a research plan."""

    turns: int = 1
    functions: bool = False
    rounds: int = 10
    plans: bool = False
    approve: Literal["auto", "hold"] = "auto"


@dataclass(frozen=True, slots=True)
class SendTurn:
    """Send the user's turn of this number."""

    turn: int


@dataclass(frozen=True, slots=True)
class SendResults:
    """Send the results of function calls."""

    results: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Continue:
    """Fetch the rest of an answer that the service broke off."""

    token: str


@dataclass(frozen=True, slots=True)
class SendWord:
    """Send the word on a research plan."""

    word: Word


@dataclass(frozen=True, slots=True)
class RunFunctions:
    """Run the functions that the model calls."""

    calls: tuple[FunctionCall, ...]


@dataclass(frozen=True, slots=True)
class Again:
    """Make a new, billed interaction in place of the last one."""

    reason: str


#: What a request may be about.
Ask = SendTurn | SendResults | Continue | SendWord
Decision = Finish | Again | RunFunctions | Ask


def after(exchanges: Sequence[Exchange], script: Script, check: Check | None, *, attempts_left: int = 0) -> Decision:
    """The next step. `check` judges the row's last answer; it is None where any will do."""
    return follow(exchanges, script) or _end(exchanges, script, check, attempts_left)


def follow(exchanges: Sequence[Exchange], script: Script) -> RunFunctions | Ask | None:
    """How the conversation goes on; None where it is over, well or not."""
    if not exchanges:
        return SendTurn(0)
    place = place_after(exchanges[:-1], script)
    return _next(exchanges[-1 - place.hops :], place, script)


def turn_of(exchanges: Sequence[Exchange], script: Script) -> int:
    """The number of the user's turn that the last exchange belongs to."""
    return place_after(exchanges[:-1], script).turn


def answers(exchanges: Sequence[Exchange], script: Script) -> list[str]:
    """The text that answered each of the user's turns but the last one under way."""
    ends = (parts for following, parts in _followed(exchanges, script) if isinstance(following, SendTurn))
    return [_whole(parts).output_text or "" for parts in ends]


def asks(exchanges: Sequence[Exchange], script: Script) -> list[Ask]:
    """What each of the exchanges was about."""
    found: list[Ask] = [SendTurn(0)] if exchanges else []
    for following, _ in _followed(exchanges[:-1], script):
        assert following is not None
        assert not isinstance(following, RunFunctions)
        found.append(following)
    return found


@dataclass(frozen=True, slots=True)
class Place:
    """Where an exchange stands: in which turn, after how many rounds of calls in it and hops of its answer.

    `planning` is true where a research plan is asked for.
    """

    turn: int
    rounds: int
    hops: int
    planning: bool

    def beyond(self, here: Exchange) -> Place:
        """Where the exchange after the one `here` stands."""
        status = here.answer.status
        if status != "completed":
            hops = self.hops + 1 if status == "requires_continuation" else 0
            return Place(self.turn, self.rounds + (status == "requires_action"), hops, self.planning)
        if self.planning:
            return Place(self.turn, self.rounds, 0, here.word is not None and not here.word.go)
        return Place(self.turn + 1, 0, 0, planning=False)

    def goes_on(self, parts: Sequence[Exchange]) -> bool:
        """False for a broken-off answer that gets no further: the same token again, or too many hops."""
        tokens = [exchange.answer.continuation_token for exchange in parts]
        return self.hops < _MOST_HOPS and tokens.count(tokens[-1]) == 1


def place_after(exchanges: Sequence[Exchange], script: Script) -> Place:
    """Where the exchange after these stands."""
    place = Place(0, 0, 0, script.plans)
    for earlier in exchanges:
        place = place.beyond(earlier)
    return place


def _followed(
    exchanges: Sequence[Exchange], script: Script
) -> Iterator[tuple[RunFunctions | Ask | None, Sequence[Exchange]]]:
    """What followed each exchange, and the exchanges that its answer came in."""
    place = Place(0, 0, 0, script.plans)
    for number, exchange in enumerate(exchanges):
        parts = exchanges[number - place.hops : number + 1]
        yield _next(parts, place, script), parts
        place = place.beyond(exchange)


def _next(parts: Sequence[Exchange], place: Place, script: Script) -> RunFunctions | Ask | None:
    """What follows the last of the exchanges that an answer came in."""
    last = parts[-1]
    match last.answer.status:
        case "requires_action" if script.functions and last.results is not None:
            return SendResults(last.results)
        case "requires_action" if script.functions and place.rounds < script.rounds:
            calls = last.answer.function_calls
            return RunFunctions(calls) if calls else None
        case "requires_continuation" if (token := last.answer.continuation_token) and place.goes_on(parts):
            return Continue(token)
        case "completed" if place.planning:
            word = last.word or (Word(go=True) if script.approve == "auto" else None)
            return None if word is None else SendWord(word)
        case "completed" if place.turn + 1 < script.turns and _has_output(_whole(parts)):
            return SendTurn(place.turn + 1)
    return None


def _whole(exchanges: Sequence[Exchange]) -> Interaction:
    """The last answer with the hops that it was broken into."""
    return last_answer([exchange.answer for exchange in exchanges])


def _end(exchanges: Sequence[Exchange], script: Script, check: Check | None, attempts_left: int) -> Finish | Again:
    answer = _whole(exchanges)
    error = answer.error
    if error is not None and error.code in BLOCKING and not (answer.status == "completed" and answer.output_text):
        return Finish(Outcome.BLOCKED, error.code, error.message or "the service refuses this content")
    match answer.status:
        case "completed" if place_after(exchanges[:-1], script).planning:
            said = "the research plan waits for your word: `batchrun show` it, then `batchrun approve`"
            return Finish(Outcome.AWAITING_APPROVAL, "awaiting_approval", said)
        case "completed":
            return _judge(answer, check)
        case "failed":
            return _after_failure(answer, attempts_left)
        case "cancelled":
            return Finish(Outcome.FAILED, "cancelled", "the interaction was cancelled at the service")
        case "requires_action":
            return _unanswered(answer, script)
        case "requires_continuation":
            return Finish(Outcome.INCOMPLETE, "requires_continuation", "the service broke the answer off for good")
        case status:  # incomplete, budget_exceeded
            said = f"the answer is cut off: the interaction ended as {status}; raise the limit that it ran into"
            return Finish(Outcome.INCOMPLETE, status, said)


def _unanswered(answer: Interaction, script: Script) -> Finish:
    names = ", ".join(call.name for call in answer.function_calls)
    if script.functions and names:
        rounds = counted(script.rounds, "round")
        said = f"after {rounds} of calls the model asks for more ({names}); see function_calling.rounds"
        return Finish(Outcome.FAILED, "too_many_rounds", said)
    said = f"the model asks for an action that the job has no function for{names and f': {names}'}"
    return Finish(Outcome.FAILED, "requires_action", said)


def _after_failure(interaction: Interaction, attempts_left: int) -> Finish | Again:
    error = interaction.error
    kind = error.code if error else "failed"
    message = (error.message if error else "") or "the interaction failed at the service without a reason"
    if attempts_left > 0 and (error is None or kind in PASSING):
        return Again(f"{kind}: {message}")
    return Finish(Outcome.FAILED, kind, message)


def _has_output(answer: Interaction) -> bool:
    return bool((answer.output_text or "").strip()) or answer.has_media


def _judge(answer: Interaction, check: Check | None) -> Finish:
    text = answer.output_text
    if not _has_output(answer) or (check is not None and text is None):
        return Finish(Outcome.INVALID_OUTPUT, "empty_output", "the interaction completed without any output")
    if check is None:
        return Finish(Outcome.SUCCEEDED)
    try:
        value = parse_answer(text or "")
    except ValueError as error:
        return Finish(Outcome.INVALID_OUTPUT, "not_json", str(error))
    problems = check(value)
    if problems:
        return Finish(Outcome.INVALID_OUTPUT, "schema_mismatch", "; ".join(problems))
    return Finish(Outcome.SUCCEEDED)
