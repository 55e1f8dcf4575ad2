"""The Interactions API's answers, read leniently: unknown fields, steps and statuses survive, wrong types become None.

Facts: Api-Revision 2026-05-20 (interaction, steps, usage). Nothing here raises for what a server sends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

#: Statuses after which an interaction never changes. Any other, known or not, is polled until the row's deadline.
STOP_STATUSES = frozenset(
    {
        "completed",
        "failed",
        "cancelled",
        "incomplete",
        "budget_exceeded",
        "requires_action",
        "requires_continuation",
    }
)
#: Types of content blocks that carry media.
MEDIA = ("image", "audio", "video", "document")
_LONGEST_CODE = 100
_ID = re.compile(r"[A-Za-z0-9_\-]{1,256}")


def storable(text: str) -> str:
    r"""`text` as SQLite, Arrow and UTF-8 can hold it: half surrogate pairs become their escapes (`\ud800`)."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def usable_id(value: object) -> str | None:
    """`value` if it is an interaction id that is safe in a URL and in a file name, else None."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def parse_json(raw: bytes) -> Any:
    """The JSON value in `raw`, or None where there is none that Python can hold (bad UTF-8, too deep, not JSON)."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def as_json(value: object) -> bytes:
    """Compact JSON. Half surrogate pairs go out as escapes, which joins those that came in two deltas.

    Raises ValueError or RecursionError for what JSON cannot hold.
    """
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A call that the model asks for. `arguments` is whatever was sent, mostly an object."""

    id: str
    name: str
    arguments: Any


@dataclass(frozen=True, slots=True)
class Interaction:
    """One interaction as the server last described it; `data` is the whole object."""

    data: dict[str, Any]

    @classmethod
    def parse(cls, raw: bytes) -> Interaction | None:
        """The interaction in a response body, None if the body is not a JSON object."""
        value = parse_json(raw)
        return cls(value) if isinstance(value, dict) else None

    def _text(self, name: str) -> str | None:
        value = self.data.get(name)
        return storable(value) if isinstance(value, str) else None

    @property
    def id(self) -> str | None:
        return usable_id(self.data.get("id"))

    @property
    def status(self) -> str | None:
        return self._text("status")

    @property
    def stopped(self) -> bool:
        return self.status in STOP_STATUSES

    @property
    def model(self) -> str | None:
        return self._text("model") or self._text("agent")

    @property
    def service_tier(self) -> str | None:
        return self._text("service_tier")

    @property
    def usage(self) -> dict[str, Any] | None:
        value = self.data.get("usage")
        return value if isinstance(value, dict) else None

    @property
    def steps(self) -> list[dict[str, Any]]:
        value = self.data.get("steps")
        if isinstance(value, list):
            return [step for step in value if isinstance(step, dict)]
        outputs = self.data.get("outputs")  # older form, in which music models are said to answer still
        return [{"type": "model_output", "content": outputs}] if isinstance(outputs, list) else []

    @property
    def own_steps(self) -> list[tuple[int, dict[str, Any]]]:
        """The steps since the last input, with their numbers: a stored interaction may tell what came before, too."""
        steps = list(enumerate(self.steps))
        after = (number + 1 for number, step in reversed(steps) if step.get("type") == "user_input")
        return steps[next(after, 0) :]

    def label(self, name: str) -> str | None:
        """A label of its request, None where the service does not show it."""
        labels = self.data.get("labels")
        value = labels.get(name) if isinstance(labels, dict) else None
        return storable(value) if isinstance(value, str) else None

    def named(self, name: str) -> Interaction:
        """The same under the id by which we know it, which the service may show as another."""
        return self if not name or self.id == name else Interaction({**self.data, "id": name})

    @property
    def environment_id(self) -> str | None:
        return self._text("environment_id")

    @property
    def continuation_token(self) -> str | None:
        return self._text("continuation_token")

    @property
    def function_calls(self) -> tuple[FunctionCall, ...]:
        """The calls that are not answered in the interaction itself. One without an id is named by its place."""
        steps = [step for _, step in self.own_steps]
        answered = {_said(step.get("call_id")) for step in steps if step.get("type") == "function_result"} - {""}
        calls = [step for step in steps if step.get("type") == "function_call"]
        found = (
            FunctionCall(_said(call.get("id")) or f"call-{number}", _said(call.get("name")), call.get("arguments"))
            for number, call in enumerate(calls)
        )
        return tuple(call for call in found if call.id not in answered)

    @property
    def has_media(self) -> bool:
        """True if the model's output has a picture, sound, video or document."""
        blocks = (block for block in self._blocks_from_the_end() if isinstance(block, dict))
        return any(block.get("type") in MEDIA for block in blocks)

    @property
    def output_text(self) -> str | None:
        """The last unbroken run of text blocks of the model's output, joined; None if there is no text.

        Walks the steps from the end up to the last user input and passes over thoughts, as the vendor's clients do.
        """
        blocks = self.output_blocks
        return "".join(block["text"] for block in blocks) if blocks else None

    @property
    def output_blocks(self) -> list[dict[str, Any]]:
        """The text blocks whose texts are `output_text`."""
        found: list[dict[str, Any]] = []
        for block in self._blocks_from_the_end():
            if isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str):
                found.append(block)
            elif found:
                break
        return found[::-1]

    def _blocks_from_the_end(self) -> Iterator[object]:
        for step in reversed(self.steps):
            match step.get("type"):
                case "user_input":
                    return
                case "thought":
                    continue
                case "model_output":
                    content = step.get("content")
                    yield from reversed(content) if isinstance(content, list) else ()
                case _:
                    yield None

    @property
    def error(self) -> ApiError | None:
        """The first error the interaction tells of: `errors[]`, then `error`, then a step's `error`."""
        listed = self.data.get("errors")
        candidates = [*(listed if isinstance(listed, list) else []), self.data.get("error")]
        candidates += [step.get("error") for step in self.steps]
        return next((ApiError.of(c) for c in candidates if isinstance(c, dict)), None)


def merged(hops: Sequence[Interaction]) -> Interaction:
    """One answer that came in several interactions, each the continuation of the one before: the last, with all steps.

    Its usage is the last one's: each hop was billed by itself.
    """
    if len(hops) == 1:
        return hops[0]
    return Interaction({**hops[-1].data, "steps": [step for hop in hops for _, step in hop.own_steps]})


def _said(value: object) -> str:
    return storable(value) if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class ApiError:
    """An error of the service. `code` is its snake_case code or classic status in lower case (`resource_exhausted`)."""

    code: str
    message: str
    details: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of(cls, error: dict[str, Any]) -> ApiError:
        code = error.get("status") if isinstance(error.get("status"), str) else error.get("code")
        details = error.get("details")
        known = tuple(d for d in details if isinstance(d, dict)) if isinstance(details, list) else ()
        message = error.get("message")
        said = storable(message) if isinstance(message, str) else ""
        named = str(code if isinstance(code, str | int) and code else "unknown")[:_LONGEST_CODE]
        return cls(storable(named.lower()), said, known)

    @classmethod
    def parse(cls, raw: bytes) -> ApiError | None:
        """The error in a response body in any of the service's envelopes; None if there is no such envelope.

        Envelopes: `{"error": {"code": "snake_case", …}}`, the classic one with a numeric code and a status,
        and the classic one inside an array.
        """
        value = parse_json(raw)
        if isinstance(value, list) and value:
            value = value[0]
        error = value.get("error") if isinstance(value, dict) else None
        return cls.of(error) if isinstance(error, dict) else None

    @property
    def retry_delay(self) -> float | None:
        """Seconds in a RetryInfo detail, None without one."""
        for detail in self.details:
            match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", str(detail.get("retryDelay", "")))
            if match:
                return float(match[1])
        return None

    @property
    def reason(self) -> str | None:
        """The reason of an ErrorInfo detail, such as API_KEY_INVALID."""
        return next((d["reason"] for d in self.details if isinstance(d.get("reason"), str)), None)

    @property
    def about_key(self) -> bool:
        """True if the error says that the key itself, or its project, is not accepted."""
        return (self.reason or "").startswith(("API_KEY_", "CONSUMER_"))

    @property
    def daily(self) -> bool:
        """True if a quota of the day is used up, so that waiting minutes does not help."""
        listed = [detail.get("violations") for detail in self.details]
        violations = [v for each in listed if isinstance(each, list) for v in each if isinstance(v, dict)]
        return self.code == "quota_exceeded" or any("PerDay" in str(v.get("quotaId", "")) for v in violations)
