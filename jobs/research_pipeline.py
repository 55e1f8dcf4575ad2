"""The transform of research_pipeline.yaml."""

from __future__ import annotations

from typing import Any


def questions(row: dict[str, Any]) -> list[str]:
    """The questions of a plan, each once."""
    return list(dict.fromkeys(row["stages"]["plan"]["output"]["questions"]))
