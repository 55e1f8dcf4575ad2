"""Asking an OpenAI-compatible server for a chat completion over HTTP, and telling a refusal from a failure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from batchrun.emulator.replies.chat import NotUnderstood

#: A small model on a small machine takes its time.
_LONGEST_SECONDS = 3600.0
_MALFORMED = (400, 422)
#: Client errors that another try may well not meet.
_PASSING = (408, 409, 425, 429)


class Declined(Exception):
    """A request that the server would decline however often it is sent. The message says why."""


async def completion(url: str, request: Mapping[str, Any]) -> Any:
    """The JSON of the server's answer. Raises Declined, NotUnderstood and httpx.HTTPError."""
    timeout = httpx.Timeout(_LONGEST_SECONDS, connect=10.0)
    async with httpx.AsyncClient(base_url=f"{url}/", timeout=timeout, trust_env=False) as client:
        answer = await client.post("chat/completions", json=request)
        if answer.status_code in _MALFORMED and "response_format" in request:
            # Not every server knows every schema, or schemas at all. The prompt shows it too, and our client checks.
            plain = {name: value for name, value in request.items() if name != "response_format"}
            answer = await client.post("chat/completions", json=plain)
    if answer.status_code != 200:
        raise _refusal(answer)
    try:
        return answer.json()
    except (ValueError, RecursionError) as error:
        raise NotUnderstood(f"no JSON ({error})") from error


def _refusal(answer: httpx.Response) -> Exception:
    error = _error(answer)
    status, message = answer.status_code, str(error.get("message") or answer.text)[:300]
    if error.get("type") == "exceed_context_size_error":
        tokens, most = error.get("n_prompt_tokens"), error.get("n_ctx")
        return Declined(f"the prompt has {tokens} tokens and the model's context only {most}; shorten the prompt")
    if status == 404:
        return Declined(f"HTTP 404 {message}; an address ends before /chat/completions, ?model=NAME names a model")
    # llama.cpp's answer to media is a 500.
    declined = (400 <= status < 500 and status not in _PASSING) or "input is not supported" in message
    return Declined(f"HTTP {status} {message}") if declined else NotUnderstood(f"HTTP {status} {message}")


def _error(answer: httpx.Response) -> Mapping[str, Any]:
    """What it says under `error`, the usual place; some servers say it in words alone."""
    try:
        document = answer.json()
    except (ValueError, RecursionError):
        return {}
    error = document.get("error") if isinstance(document, dict) else None
    return error if isinstance(error, dict) else {"message": error} if error else {}
