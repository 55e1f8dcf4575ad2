"""Scripts that run the quickstart with the vendor's clients, in processes of their own."""

from __future__ import annotations

import re
from pathlib import Path

_SECTION = {".py": re.compile(r"^@section\ndef (\w+)", re.M), ".mjs": re.compile(r"^  async (\w+)\(\)", re.M)}


def sections(script: str) -> list[str]:
    """The names of a script's sections."""
    path = Path(__file__).parent / script
    return _SECTION[path.suffix].findall(path.read_text())
