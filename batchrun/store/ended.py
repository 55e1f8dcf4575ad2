"""What of a row that has ended its followers see."""

from __future__ import annotations

import json

from batchrun.rows import Outcome
from batchrun.spec.flow import UPSTREAM_FAILED, UPSTREAM_HELD, Ended, How

#: The columns of a row of which `ended_of` makes what follows.
ENDED = """data, output, outcome, error_class, error_message,
    (SELECT interaction_id FROM attempt WHERE row_id = row.id AND superseded_at IS NULL AND interaction_id NOT NULL
     ORDER BY exchange DESC LIMIT 1)"""

_SKIPPED = {UPSTREAM_FAILED: How.FAILED, UPSTREAM_HELD: How.HELD}


def ended_of(
    key: str,
    data: str | None,
    output: str | None,
    outcome: str,
    kind: str | None,
    message: str | None,
    interaction_id: str | None,
) -> Ended:
    """What follows from the row with this key, from its columns ENDED."""
    columns = json.loads(data or "{}")
    if outcome == Outcome.SUCCEEDED:
        given = None if output is None else json.loads(output)
        return Ended(How.SUCCEEDED, columns, given, more={"interaction_id": interaction_id} if interaction_id else {})
    if outcome == Outcome.SKIPPED:
        return Ended(_SKIPPED.get(kind or "", How.LEFT_OUT), columns, why=message or "")
    how = How.HELD if outcome in (Outcome.AMBIGUOUS, Outcome.AWAITING_APPROVAL) else How.FAILED
    return Ended(how, columns, why=f"{key} ended as {outcome} ({kind})")
