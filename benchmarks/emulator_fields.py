"""How much of the sample invoices the emulator's synthetic answers get right: python -m benchmarks.emulator_fields

Prints, for the PDF files and for the texts, the share of the top-level fields that equal the truth, field by field, the
share of invoices whose line items all do, and what differs (with --verbose).
"""

from __future__ import annotations

import asyncio
import json
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from batchrun.emulator import Emulator

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "sample_data"
FIELDS = ["vendor_name", "invoice_number", "invoice_date", "due_date", "currency"]
FIELDS += ["subtotal", "tax", "total", "language"]
Row = Mapping[str, Any]


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def truths() -> list[dict[str, Any]]:
    return read_rows(SAMPLES / "invoices.truth.jsonl")


def pdf_inputs() -> list[Any]:
    files = [(SAMPLES / row["file"]).read_bytes() for row in truths()]
    return [
        [{"type": "document", "mime_type": "application/pdf", "data": b64encode(file).decode()}, _question("")]
        for file in files
    ]


def text_inputs() -> list[Any]:
    rows = read_rows(SAMPLES / "invoice_texts.jsonl")
    return [[_question(f"<invoice>\n{row['text']}\n</invoice>\n\n")] for row in rows]


def _question(before: str) -> dict[str, str]:
    return {"type": "text", "text": f"{before}Transcribe this invoice. Numbers follow the habits of its country."}


def answers(inputs: list[Any]) -> list[dict[str, Any]]:
    """What a fresh emulator answers to each input, by the schema of the invoice job."""
    return asyncio.run(_asked(inputs))


async def _asked(inputs: list[Any]) -> list[dict[str, Any]]:
    emulator = Emulator()
    schema = json.loads((ROOT / "jobs" / "invoice.schema.json").read_text(encoding="utf-8"))
    form = {"type": "text", "mime_type": "application/json", "schema": schema}
    transport = httpx.ASGITransport(app=emulator.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://emulator") as client:
        posts = [
            await client.post(
                "/v1/interactions",
                json={"model": "gemini-3.5-flash", "input": content, "response_format": form},
                headers={"x-goog-api-key": "key"},
            )
            for content in inputs
        ]
    emulator.close()
    return [json.loads(post.raise_for_status().json()["steps"][-1]["content"][0]["text"]) for post in posts]


def differences(answered: list[dict[str, Any]]) -> dict[str, list[tuple[str, Any, Any]]]:
    """Id, truth and answer of every field that is not right."""
    wrong: dict[str, list[tuple[str, Any, Any]]] = {field: [] for field in [*FIELDS, "line_items"]}
    for truth, answer in zip(truths(), answered, strict=True):
        for field, found in wrong.items():
            if truth[field] != answer[field]:
                found.append((truth["id"], truth[field], answer[field]))
    return wrong


def share(wrong: Mapping[str, list[Any]], fields: list[str]) -> float:
    return 1 - sum(len(wrong[field]) for field in fields) / (len(fields) * len(truths()))


def main() -> None:
    for what, inputs in (("PDF files", pdf_inputs()), ("texts", text_inputs())):
        wrong = differences(answers(inputs))
        print(f"{what}: {share(wrong, FIELDS):.1%} of the fields of {len(truths())} invoices are right")
        counts = Counter({field: len(found) for field, found in wrong.items()})
        print("  wrong:", ", ".join(f"{field} {count}" for field, count in counts.items()))
        if "--verbose" in sys.argv:
            _print_all(wrong)


def _print_all(wrong: Mapping[str, list[tuple[str, Any, Any]]]) -> None:
    for field, found in wrong.items():
        for name, truth, answer in found:
            print(f"    {field} {name}: {str(truth)[:300]!r} <- {str(answer)[:300]!r}")


if __name__ == "__main__":
    main()
