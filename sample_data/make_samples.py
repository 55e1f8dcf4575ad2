"""Makes everything in this folder but the README: `python sample_data/make_samples.py [FOLDER]`.

The same bytes come out every time. Needs the `test` extra.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from recipe import contracts
from recipe.invoices import Invoice, make_invoices, truth
from recipe.layouts import LAYOUTS
from recipe.media import media
from recipe.plain_text import plain_text
from recipe.scan import scanned
from recipe.vendors import vendors
from recipe.wording import printed
from ruamel.yaml import YAML

HERE = Path(__file__).parent


def make(folder: Path) -> None:
    invoices = make_invoices(vendors())
    truths = [truth(invoice) for invoice in invoices]
    texts = [_text_row(invoice, place) for place, invoice in enumerate(invoices)]
    (folder / "invoices").mkdir(parents=True, exist_ok=True)
    for invoice in invoices:
        (folder / "invoices" / f"{invoice.id}.pdf").write_bytes(_pdf(invoice))
    _write_jsonl(folder / "invoices.truth.jsonl", truths)
    _write_jsonl(folder / "invoices.jsonl", ({"id": row["id"], "file": row["file"]} for row in truths))
    _write_jsonl(folder / "invoice_texts.jsonl", texts)
    _write_parquet(folder / "invoice_texts.parquet", texts)
    _write_files(folder / "media", media())
    _write_files(folder / "contracts", contracts.contracts())
    _write_jsonl(folder / "contracts.jsonl", map(contracts.row, contracts.CONTRACTS))
    _write_jsonl(folder / "contracts.truth.jsonl", map(contracts.truth, contracts.CONTRACTS))
    for recipe in sorted((HERE / "recipe" / "rows").glob("*.yaml")):
        _write_jsonl(folder / f"{recipe.stem}.jsonl", YAML(typ="safe", pure=True).load(recipe))
    (folder / "feed").mkdir(exist_ok=True)
    for recipe in sorted((HERE / "recipe" / "rows" / "feed").glob("*.yaml")):
        _write_jsonl(folder / "feed" / f"{recipe.stem}.jsonl", YAML(typ="safe", pure=True).load(recipe))


def _pdf(invoice: Invoice) -> bytes:
    sheet = LAYOUTS[invoice.layout](printed(invoice), invoice.vendor.embedded_font)
    pdf = bytes(sheet.output())
    return scanned(pdf) if invoice.layout == "scan" else pdf


def _text_row(invoice: Invoice, place: int) -> dict[str, str]:
    return {
        "id": invoice.id,
        "language": invoice.vendor.language,
        "text": plain_text(printed(invoice), place),
    }


def _write_files(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    folder.mkdir(exist_ok=True)
    for name, content in files:
        (folder / name).write_bytes(content)


def _write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8", newline="\n")


def _write_parquet(path: Path, rows: list[dict[str, str]]) -> None:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, compression="zstd")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
