"""Synthetic answers are filled with what stands in a document, by the names and types of their fields."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrun.emulator.prompts import set_off
from batchrun.emulator.replies.currencies import currency_of
from batchrun.emulator.replies.dates import find_date
from batchrun.emulator.replies.documents import DocumentWriter
from batchrun.emulator.replies.facts import Facts
from batchrun.emulator.replies.names import column_of, concept_of
from batchrun.emulator.replies.numbers import Style, plain
from benchmarks.emulator_fields import FIELDS, answers, differences, pdf_inputs, share, text_inputs

STRING, NUMBER = {"type": "string"}, {"type": "number"}
DAY = {"type": "string", "format": "date"}


def filled(text: str, **properties: Any) -> dict[str, Any]:
    """What is written for required properties into a document with this text."""
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    value: dict[str, Any] = DocumentWriter(schema, Facts(text), b"key").write()
    return value


def test_the_sample_invoices_are_read_nearly_without_a_mistake() -> None:
    wrong = differences(answers(pdf_inputs()))
    assert share(wrong, FIELDS) > 0.97
    assert {name for field in wrong.values() for name, *_ in field} == {"inv-028"}, "only the scan is invented"


def test_the_sample_texts_are_read_nearly_without_a_mistake() -> None:
    assert share(differences(answers(text_inputs())), FIELDS) > 0.97


INVOICE = """Blue Heron Marine Supplies Ltd
7 Dock Street
INVOICE
Invoice number   BH-77/2024        Issue date   12/31/2024
Payment due      01/30/2025
Sold to: Jane Roe, 4 Elm Road, Springfield 12345

Item              Qty     Rate      Line total
Rope 10 mm        3       12.50     37.50
Shackle, steel    10      4.20      42.00

Net total         79.50
Sales tax 10%     7.95
Amount due        $87.45
Questions? billing@blueheron.example or https://blueheron.example/help.
"""


def test_other_names_for_the_same_things_are_understood() -> None:
    assert filled(
        INVOICE,
        supplier=STRING,
        customerName=STRING,
        invoiceNo=STRING,
        issued_on=DAY,
        payment_due=DAY,
        net_amount=NUMBER,
        vat=NUMBER,
        grandTotal=NUMBER,
        currency_code={"type": "string", "pattern": "^[A-Z]{3}$"},
        contact_email={"type": "string", "format": "email"},
        website={"type": "string", "format": "uri"},
    ) == {
        "supplier": "Blue Heron Marine Supplies Ltd",
        "customerName": "Jane Roe",
        "invoiceNo": "BH-77/2024",
        "issued_on": "2024-12-31",
        "payment_due": "2025-01-30",
        "net_amount": 79.5,
        "vat": 7.95,
        "grandTotal": 87.45,
        "currency_code": "USD",
        "contact_email": "billing@blueheron.example",
        "website": "https://blueheron.example/help",
    }


def test_lines_of_a_table_become_objects() -> None:
    line = {"type": "object", "properties": {"product": STRING, "qty": NUMBER, "price": NUMBER, "line_total": NUMBER}}
    lines = filled(INVOICE, lines={"type": "array", "items": {**line, "required": list(line["properties"])}})["lines"]
    assert lines == [
        {"product": "Rope 10 mm", "qty": 3, "price": 12.5, "line_total": 37.5},
        {"product": "Shackle, steel", "qty": 10, "price": 4.2, "line_total": 42},
    ]


def test_a_property_may_have_a_name_in_the_language_of_the_document() -> None:
    text = "Rechnung\nRechnungsnummer: R-17\nFällig am: 1.2.2025\nRechnungsbetrag: 1.234,50 €\n"
    assert filled(text, rechnungsnummer=STRING, rechnungsbetrag=NUMBER) == {
        "rechnungsnummer": "R-17",
        "rechnungsbetrag": 1234.5,
    }


def test_records_of_a_csv_file_become_objects() -> None:
    person = {"name": STRING, "age": {"type": "integer"}, "joined": DAY, "active": {"type": "boolean"}}
    items = {"type": "object", "properties": person, "required": list(person)}
    text = 'name,age,joined,active\n"Doe, Ann",41,2024-05-06,yes\nBob,7,6.5.2024,no\n\nnot a record'
    assert filled(text, people={"type": "array", "items": items})["people"] == [
        {"name": "Doe, Ann", "age": 41, "joined": "2024-05-06", "active": True},
        {"name": "Bob", "age": 7, "joined": "2024-05-06", "active": False},
    ]


def test_records_of_a_markdown_table_become_objects() -> None:
    items = {"type": "object", "properties": {"city": STRING, "population": NUMBER}, "required": ["city", "population"]}
    text = "| City | Population |\n|---|---|\n| Porto | 231,800 |\n| Tabriz | 1,643,960 |\n"
    assert filled(text, cities={"type": "array", "items": items, "maxItems": 5})["cities"] == [
        {"city": "Porto", "population": 231800},
        {"city": "Tabriz", "population": 1643960},
    ]


def test_no_more_lines_are_written_than_the_schema_allows() -> None:
    items = {"type": "object", "properties": {"description": STRING, "amount": NUMBER}}
    assert len(filled(INVOICE, lines={"type": "array", "items": items, "maxItems": 1})["lines"]) == 1


def test_what_a_form_does_not_show_is_null_where_it_may_be() -> None:
    receipt = "Receipt\nReceipt no: 7\nDate: 2024-05-06\nTotal: 9.99\n"
    nullable = {"type": ["string", "null"], "format": "date"}
    assert filled(receipt, due_date=nullable, date=nullable) == {"due_date": None, "date": "2024-05-06"}


def test_a_stated_enumeration_is_found_by_its_sense() -> None:
    text = "Facture\nDate: 3 mars 2024\nMontant: 12,00 €\nMerci de votre confiance et à bientôt pour une visite."
    assert filled(
        text,
        currency={"type": "string", "enum": ["usd", "eur"]},
        language={"type": "string", "enum": ["German", "French"]},
        kind={"type": "string", "enum": ["invoice", "facture"]},
    ) == {"currency": "eur", "language": "French", "kind": "facture"}


@pytest.mark.parametrize(
    ("text", "language", "code"),
    [
        ("Total $12.00", None, "USD"),
        ("Total $12.00 MXN", None, "MXN"),
        ("Total (CAD) 12.00 $", None, "CAD"),
        ("Att betala 12,00 kr", "sv", "SEK"),
        ("At betale 12,00 kr", "da", "DKK"),
        ("R$ 5,00", "pt", "BRL"),
        ("CHF 5.00 THE END", None, "CHF"),
        ("۱۲۰ ریال", "fa", "IRR"),
        ("no money here", None, None),
    ],
)
def test_a_currency_is_told_by_code_or_sign(text: str, language: str | None, code: str | None) -> None:
    assert currency_of(text, language) == code


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Please send the report to your manager by Friday.", "en"),
        ("Bitte senden Sie den Bericht bis Freitag an die Leitung.", "de"),
        ("Veuillez envoyer le rapport à votre responsable avant vendredi.", "fr"),
        ("Por favor, envíe el informe a su responsable antes del viernes.", "es"),
        ("Prosimy o wysłanie raportu do kierownika przed piątkiem.", "pl"),
        ("لطفاً گزارش را تا جمعه برای مدیر بفرستید.", "fa"),
        ("من فضلك أرسل التقرير إلى المدير قبل يوم الجمعة.", "ar"),
        ("Пожалуйста, отправьте отчёт до пятницы.", "ru"),
        ("金曜日までに報告書を送ってください。", "ja"),
        ("12345", None),
    ],
)
def test_a_language_is_told_by_its_words_and_letters(text: str, language: str | None) -> None:
    assert Facts(text).language == language


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("31 Mart 2025", "2025-03-31"),
        ("27 de febrero de 2025", "2025-02-27"),
        ("17. 5. 2025", "2025-05-17"),
        ("2025/04/17", "2025-04-17"),
        ("25 December 2025", "2025-12-25"),
        ("۱۴۰۴/۰۲/۱۱", "2025-05-01"),
        ("1403/12/30", "2025-03-20"),
        ("1 février 2024", "2024-02-01"),
        ("1404/13/01", None),
    ],
)
def test_dates_of_many_languages_and_two_calendars_are_read(text: str, iso: str | None) -> None:
    found = find_date(text)
    assert (found and found.iso) == iso


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("12,50 and 1.234", [12.5, 1234]),
        ("12.50 and 1,234", [12.5, 1234]),
        ("1 155,00 and 3 000", [1155, 3000]),
        ("0,385 for 1.155,00", [0.385, 1155]),
        ("CHF 1'398.50", [1398.5]),
        ("۶٬۱۲۵٬۰۰۰", [6125000]),
        ("-18,60", [-18.6]),
    ],
)
def test_a_text_is_read_in_its_own_style_of_numbers(text: str, numbers: list[float]) -> None:
    flat = plain(text)
    assert [found.value for found in Style.of(flat).numbers(flat)] == numbers


@pytest.mark.parametrize(
    ("name", "concept"),
    [
        ("invoiceNumber", "number"),
        ("invoice_date", "date"),
        ("dueDate", "due"),
        ("total_amount", "total"),
        ("Gesamtbetrag", "total"),
        ("vendor_name", "seller"),
        ("favourite_colour", None),
        ("", None),
    ],
)
def test_names_of_properties_say_what_is_wanted(name: str, concept: str | None) -> None:
    assert concept_of(name) == concept


def test_names_of_columns_mean_other_things_than_names_of_fields() -> None:
    assert (concept_of("total"), column_of("total")) == ("total", "amount")


@pytest.mark.parametrize(
    ("prompt", "data"),
    [
        ("Do it.\n<doc>\nTotal: 5\n</doc>\nTotal: 6", "Total: 5"),
        ('Do it.\n```json\n{"total": 5}\n```\nTotal: 6', '{"total": 5}'),
        ("<a>\n<b>\nTotal: 5\n</b>\nTax: 1\n</a>", "<b>\nTotal: 5\n</b>\nTax: 1"),
        ("Total: 5 < 6 </b>", "Total: 5 < 6 </b>"),
        ("Total: 5", "Total: 5"),
    ],
)
def test_data_that_a_prompt_sets_off_are_told_from_its_instructions(prompt: str, data: str) -> None:
    assert set_off(prompt) == data


WORDS = st.lists(
    st.sampled_from(
        ["Total", "Invoice no", "Date", "VAT", ":", "|", "\n", " ", "%", "12", "1.234,5", "€", "/", "x", "="]
    )
    | st.text(max_size=6),
    max_size=40,
).map("".join)


@given(WORDS)
@settings(max_examples=300, deadline=None)
def test_no_text_makes_looking_stumble(text: str) -> None:
    items = {"type": "object", "properties": {"item": STRING, "qty": NUMBER, "price": NUMBER, "amount": NUMBER}}
    wanted = {"total": NUMBER, "vat": NUMBER, "invoice_no": STRING, "date": DAY, "vendor": STRING, "language": STRING}
    filled(text, **wanted, lines={"type": "array", "items": items})


LETTER = """Hanse Logistik GmbH & Co. KG · Hafenstr. 1 · 20457 Hamburg
Firma
Muster AG
80331 München
Hamburg, 3. Mai 2024
Rechnung Nr. 2024-0815
Pos. Bezeichnung Menge Einzelpreis Gesamt
1 Transport Hamburg-München 1 450,00 € 450,00 €
2 Maut 2 12,35 € 24,70 €
Zwischensumme 474,70 €
19% USt. 90,19 €
Gesamtbetrag 564,89 €
"""


def test_a_letter_is_read_without_labels_for_its_sender_and_date() -> None:
    line = {"type": "object", "properties": {"description": STRING, "amount": NUMBER}, "required": ["description"]}
    assert filled(
        LETTER,
        vendor=STRING,
        invoice_number=STRING,
        invoice_date=DAY,
        total=NUMBER,
        items={"type": "array", "items": {**line, "required": ["description", "amount"]}},
    ) == {
        "vendor": "Hanse Logistik GmbH & Co. KG",
        "invoice_number": "2024-0815",
        "invoice_date": "2024-05-03",
        "total": 564.89,
        "items": [
            {"description": "Transport Hamburg-München", "amount": 450},
            {"description": "Maut", "amount": 24.7},
        ],
    }


def test_a_value_ends_where_the_next_label_begins() -> None:
    text = "Name: John Smith, age: 42, works at Initech"
    assert filled(text, name=STRING, age={"type": "integer"}) == {"name": "John Smith", "age": 42}
