"""Reads catalog/*.yaml: who sells what, in which language, and how they write it down. All of it is invented."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from recipe.formats import Format
from ruamel.yaml import YAML

_FOLDER = Path(__file__).parent / "catalog"
_FORMAT_KEYS = {"group", "decimal", "date", "money"}


@dataclass(frozen=True)
class Good:
    """Something sold. Quantities are multiples of `step`, up to `most`."""

    description: str
    unit: str
    price: Decimal
    step: Decimal
    most: Decimal
    rate: Decimal


@dataclass(frozen=True)
class Vendor:
    language: str
    name: str
    address: tuple[str, ...]
    tax_id: str
    currency: str
    numbering: str
    due_in: int | None
    layouts: tuple[str, ...]
    goods: tuple[Good, ...]
    customers: tuple[tuple[str, ...], ...]
    labels: dict[str, str]
    format: Format
    embedded_font: bool


def vendors() -> list[Vendor]:
    """Every vendor of every language, in the order of the files' names."""
    languages = [YAML(typ="safe", pure=True).load(path) for path in sorted(_FOLDER.glob("*.yaml"))]
    return [_vendor(entry, language) for language in languages for entry in language["vendors"]]


def _vendor(entry: dict[str, Any], language: dict[str, Any]) -> Vendor:
    return Vendor(
        language=language["language"],
        name=entry["name"],
        address=tuple(str(line) for line in entry["address"]),
        tax_id=entry["tax_id"],
        currency=entry["currency"],
        numbering=entry["number"],
        due_in=entry.get("due_in", 30),
        layouts=tuple(entry["layouts"]),
        goods=tuple(_good(fields, entry["tax"]) for fields in entry["goods"]),
        customers=tuple(tuple(lines) for lines in language["customers"]),
        labels=language["labels"] | entry.get("labels", {}),
        format=_format(entry, language),
        embedded_font="font" in language,
    )


def _good(fields: list[Any], vendor_rate: float) -> Good:
    description, unit, price, range_, *own_rate = fields
    step, most = range_.split("-")
    rate = Decimal(str(own_rate[0] if own_rate else vendor_rate))
    return Good(description, unit, Decimal(str(price)), Decimal(step), Decimal(most), rate)


def _format(entry: dict[str, Any], language: dict[str, Any]) -> Format:
    own = {key: entry[key] for key in _FORMAT_KEYS & entry.keys()}
    return Format(months=tuple(language.get("months", ())), **(language["format"] | own))
