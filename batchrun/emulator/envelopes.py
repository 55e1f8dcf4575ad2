"""The service's error envelopes: the new one (snake_case code), the classic one, and the classic one in an array.

A rule that a request breaks raises `Refusal`; the route turns it into its answer. Source of the codes: the public
error reference of Api-Revision 2026-05-20.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

from batchrun.emulator.answers import Answer, json_answer

Details = list[dict[str, Any]]

HTTP_STATUS = {
    "invalid_request": 400,
    "parameter_unknown": 400,
    "failed_precondition": 400,
    "missing_thought_signature": 400,
    "authentication": 401,
    "payment_required": 402,
    "permission_denied": 403,
    "not_found": 404,
    "model_not_found": 404,
    "already_exists": 409,
    "request_too_large": 413,
    "rate_limit_exceeded": 429,
    "quota_exceeded": 429,
    "cancelled": 499,
    "api_error": 500,
    "unimplemented": 501,
    "service_unavailable": 503,
    "deadline_exceeded": 504,
}
_CLASSIC = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Refusal(Exception):
    """A request that gets an error answer instead of what it asked for."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer

    @property
    def message(self) -> str:
        """What the envelope says, for a place that has an envelope of its own."""
        return str(json.loads(self.answer.body)["error"]["message"])


def refuse(code: str, message: str) -> Refusal:
    """The new envelope."""
    return Refusal(json_answer(HTTP_STATUS[code], {"error": {"code": code, "message": message}}))


def invalid(message: str) -> Refusal:
    return refuse("invalid_request", message)


def unknown_parameter(name: str, where: str = "") -> Refusal:
    place = f" at {where}" if where else ""
    return refuse("parameter_unknown", f"Unknown parameter {name!r}{place}.")


def not_found(interaction_id: str) -> Refusal:
    return refuse("not_found", f"Interaction {interaction_id!r} not found.")


def classic(status: int, message: str, details: Details | None = None) -> Refusal:
    """The classic envelope."""
    return Refusal(json_answer(status, classic_error(status, message, details)))


def in_array(status: int, message: str, details: Details | None = None) -> Refusal:
    """The classic envelope inside a JSON array, which the gateway sends now and then."""
    return Refusal(json_answer(status, [classic_error(status, message, details)]))


def classic_error(status: int, message: str, details: Details | None = None) -> Mapping[str, Any]:
    error: dict[str, Any] = {"code": status, "message": message, "status": _CLASSIC.get(status, "UNKNOWN")}
    if details:
        error["details"] = details
    return {"error": error}


def retry_info(seconds: float) -> dict[str, Any]:
    text = f"{seconds:.9f}".rstrip("0").rstrip(".")
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{text or '0'}s"}


def error_info(reason: str) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    }


class Quota(Enum):
    """What can be exceeded, in the words of a message."""

    REQUESTS = "requests per minute"
    DAILY_REQUESTS = "requests per day"
    TOKENS = "input tokens per minute"
    IMAGES = "images per minute"
    IN_FLIGHT = "background interactions in flight"


#: The quota's metric and id. Clients tell the windows apart by PerMinute and PerDay in the id.
_QUOTAS: Mapping[Quota, tuple[str, str]] = {
    Quota.REQUESTS: ("generate_requests_per_model", "GenerateRequestsPerMinutePerProjectPerModel"),
    Quota.DAILY_REQUESTS: ("generate_requests_per_model_per_day", "GenerateRequestsPerDayPerProjectPerModel"),
    Quota.TOKENS: ("generate_content_input_token_count", "GenerateContentInputTokensPerMinutePerProjectPerModel"),
    Quota.IMAGES: ("generate_images_per_model", "GenerateImagesPerMinutePerProjectPerModel"),
    Quota.IN_FLIGHT: ("background_interactions", "BackgroundInteractionsInFlightPerProject"),
}


def quota_failure(quota: Quota, value: int, model: str) -> dict[str, Any]:
    metric, name = _QUOTAS[quota]
    return {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [
            {
                "quotaMetric": f"generativelanguage.googleapis.com/{metric}",
                "quotaId": name,
                "quotaDimensions": {"location": "global", "model": model},
                "quotaValue": str(value),
            }
        ],
    }


def quota_help() -> dict[str, Any]:
    link = {"description": "Emulated quota", "url": "https://ai.google.dev/gemini-api/docs/rate-limits"}
    return {"@type": "type.googleapis.com/google.rpc.Help", "links": [link]}


def bad_key() -> Refusal:
    """What the interactions endpoint answers to a key it does not know: 400, not 401, in an array."""
    message = "API key not valid. Please pass a valid API key."
    return in_array(400, message, [error_info("API_KEY_INVALID")])


def missing_key() -> Refusal:
    message = (
        "Method doesn't allow unregistered callers (callers without established identity). "
        "Please use API Key or other form of API consumer identity to call this API."
    )
    return classic(403, message)
