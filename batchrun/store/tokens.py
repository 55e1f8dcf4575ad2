"""The tokens in what the service says of its usage, for SQL: what no interaction can have counts as not said."""

from __future__ import annotations

from batchrun.interactions.usage import MOST_TOKENS


def token_count(counter: str) -> str:
    """SQL for a counter of an attempt's usage, such as `total_input_tokens`; NULL where it is none."""
    kind, value = f"json_type(usage, '$.{counter}')", f"json_extract(usage, '$.{counter}')"
    return f"iif(json_valid(usage) AND {kind} = 'integer' AND {value} BETWEEN 0 AND {MOST_TOKENS - 1}, {value}, NULL)"
