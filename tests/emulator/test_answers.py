"""What an answer holds: text that is marked, documents that satisfy their schema, tokens that add up."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrun.emulator.replies.dates import find_date
from batchrun.emulator.replies.documents import DocumentWriter
from batchrun.emulator.replies.facts import Facts
from batchrun.emulator.replies.numbers import Style, plain
from batchrun.emulator.replies.patterns import sample
from batchrun.emulator.replies.schemas import SchemaRefused
from tests.emulator.in_process import finished, json_format, text_of
from tests.emulator.media_files import block, picture

INVOICE = """INVOICE
Vendor: Northwind Traders GmbH
Invoice no.: NW-2024-117        Invoice date: 03.04.2024
Tags: urgent, paper, office
Subtotal  1.000,00 EUR
Total     1.190,00 EUR
Paid: no
"""


def written(schema: Any, prompt: str = "", key: bytes = b"key") -> Any:
    return DocumentWriter(schema, Facts(prompt), key).write()


def test_the_same_prompt_gets_the_same_answer_in_whatever_form_it_comes() -> None:
    forms: list[Any] = [
        "Hello",
        {"type": "text", "text": "Hello"},
        [{"type": "user_input", "content": "Hello"}],
        [{"type": "user_input", "content": [{"type": "text", "text": "Hello"}]}],
    ]
    texts = {text_of(finished(input=form, labels={"form": str(number)})) for number, form in enumerate(forms)}
    assert len(texts) == 1


def test_another_prompt_gets_another_answer() -> None:
    assert text_of(finished(input="Hello")) != text_of(finished(input="Hello!"))


def test_values_come_from_the_prompt_where_names_and_types_allow() -> None:
    schema = {
        "type": "object",
        "properties": {
            "vendor_name": {"type": "string"},
            "invoice_number": {"type": "string"},
            "invoice_date": {"type": "string", "format": "date"},
            "currency": {"type": "string", "enum": ["USD", "EUR", "JPY"]},
            "subtotal": {"type": "number"},
            "totalAmount": {"type": ["number", "null"]},
            "paid": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
    }
    assert written(schema, INVOICE) == {
        "vendor_name": "Northwind Traders GmbH",
        "invoice_number": "NW-2024-117",
        "invoice_date": "2024-04-03",
        "currency": "EUR",
        "subtotal": 1000,
        "totalAmount": 1190,
        "paid": False,
        "tags": ["urgent", "paper", "office"],
    }


def test_values_come_from_json_in_the_prompt_too() -> None:
    prompt = json.dumps({"city": "Tabriz, Iran", "size": 12.5}, indent=1)
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "size": {"type": "number"}}}
    assert written({**schema, "required": ["city", "size"]}, prompt) == {"city": "Tabriz, Iran", "size": 12.5}


def test_invented_strings_say_that_they_are_emulated() -> None:
    assert written({"type": "string"}).startswith("[emulated] ")
    value = written({"type": "object", "properties": {"vendor": {"type": "string"}}, "required": ["vendor"]})
    assert value["vendor"].startswith("[emulated] vendor ")


ADDRESS = {"type": "object", "properties": {"street": {"type": "string"}}, "required": ["street"]}
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 40, "maxLength": 50},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                "parent": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["name", "children", "parent"],
            "additionalProperties": False,
        }
    },
}


@pytest.mark.parametrize("key", [b"1", b"2", b"3", b"4"])
@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        {"type": "null"},
        {"type": ["integer", "null"]},
        {"const": {"a": [1]}},
        {"enum": [1, "two", None]},
        {"type": "integer", "minimum": -5, "exclusiveMaximum": -3},
        {"type": "integer", "multipleOf": 7, "minimum": 50},
        {"type": "number", "exclusiveMinimum": 0.5, "maximum": 0.52},
        {"type": "number", "maximum": -1000},
        {"type": "string", "maxLength": 3},
        {"type": "string", "minLength": 60},
        {"type": "string", "pattern": r"^[A-Z]{2}-\d{4}(\.[a-f0-9]+)?$"},
        {"type": "string", "pattern": r"^(red|green|blue)\s[^xyz]$"},
        *(
            {"type": "string", "format": f}
            for f in ("date", "time", "date-time", "email", "uri", "uuid", "ipv4", "ipv6")
        ),
        *({"type": "string", "format": f} for f in ("duration", "hostname")),
        {"type": "array", "items": {"type": "integer"}, "minItems": 4, "maxItems": 5},
        {"type": "array", "items": False},
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False, "minItems": 2},
        {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 3},
        {
            "type": "object",
            "properties": {"a": ADDRESS},
            "required": ["a", "b"],
            "additionalProperties": {"type": "null"},
        },
        {"allOf": [ADDRESS, {"properties": {"zip": {"type": "integer"}}, "required": ["zip"]}]},
        {"anyOf": [ADDRESS, {"type": "integer", "minimum": 9}]},
        {"oneOf": [{"type": "string"}, {"type": "null"}]},
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}},
            "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "boolean"}}},
        TREE,
    ],
)
def test_a_document_satisfies_its_schema(schema: Any, key: bytes) -> None:
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    for prompt in ("", INVOICE):
        value = written(schema, prompt, key)
        assert validator.is_valid(value), (value, schema)


LEAF = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "minLength": 2, "maxLength": 9},
        {"type": "integer", "minimum": 3, "maximum": 17},
        {"type": ["number", "null"], "minimum": 0},
        {"type": "boolean"},
        {"enum": ["EUR", "USD"]},
        {"type": "string", "format": "date"},
    ]
)
NAMES = st.sampled_from(["total", "vendor_name", "invoice_date", "tags", "paid", "x"])
SCHEMAS = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.dictionaries(NAMES, inner, max_size=4).flatmap(
            lambda properties: st.builds(
                lambda required: {"type": "object", "properties": properties, "required": sorted(required)},
                st.sets(st.sampled_from(sorted(properties))) if properties else st.just(set()),
            )
        ),
        st.builds(lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, st.integers(0, 3)),
        st.builds(lambda branches: {"anyOf": branches}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=10,
)


@given(SCHEMAS, st.binary(max_size=4))
@settings(max_examples=200, deadline=None)
def test_any_document_satisfies_its_schema(schema: Any, key: bytes) -> None:
    value = written(schema, INVOICE, key)
    assert jsonschema_rs.is_valid(schema, value), value


@pytest.mark.parametrize(
    "schema",
    [
        False,
        7,
        {"type": "text"},
        {"type": []},
        {"enum": []},
        {"anyOf": [False]},
        {"$ref": "#/nowhere"},
        {"allOf": 7},
        {"type": "array", "minItems": 3, "maxItems": 2},
        {"type": "integer", "minimum": 0.2, "maximum": 0.8},
        {"type": "integer", "multipleOf": 0},
        {
            "$ref": "#/$defs/a",
            "$defs": {"a": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]}},
        },
        {"type": "array", "minItems": 900, "items": {"type": "array", "minItems": 900}},
    ],
)
def test_a_schema_that_cannot_be_met_is_refused(schema: Any) -> None:
    with pytest.raises(SchemaRefused):
        written(schema)


def test_json_without_a_schema_is_json() -> None:
    interaction = finished(response_format={"type": "text", "mime_type": "application/json"})
    assert json.loads(text_of(interaction))["emulated"] is True


def test_a_structured_answer_satisfies_the_schema_of_its_request() -> None:
    schema = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}
    interaction = finished(input=INVOICE, response_format=json_format(schema))
    assert json.loads(text_of(interaction)) == {"total": 1190}


def test_the_token_limit_cuts_the_text() -> None:
    interaction = finished(generation_config={"max_output_tokens": 5})
    assert interaction["status"] == "incomplete"
    assert len(text_of(interaction)) == 20
    assert interaction["usage"]["total_output_tokens"] == 5


def test_a_stop_sequence_ends_the_text() -> None:
    interaction = finished(generation_config={"stop_sequences": [" prompt"]})
    assert interaction["status"] == "completed"
    assert text_of(interaction).endswith(" to a")


def test_the_token_counts_add_up() -> None:
    png = block("image", "image/png", picture(200, 100))
    text = {"type": "text", "text": "x" * 400}
    usage = finished(input=[text, png], system_instruction="y" * 40)["usage"]
    assert usage["input_tokens_by_modality"] == [
        {"modality": "text", "tokens": 110},
        {"modality": "image", "tokens": 258},
    ]
    assert usage["total_input_tokens"] == 368
    parts = ("total_input_tokens", "total_output_tokens", "total_thought_tokens")
    assert usage["total_tokens"] == sum(usage[part] for part in parts)


def test_minimal_thinking_has_no_thought() -> None:
    interaction = finished(generation_config={"thinking_level": "minimal"})
    assert [step["type"] for step in interaction["steps"]] == ["model_output"]
    assert interaction["usage"]["total_thought_tokens"] == 0


def test_a_thought_is_signed_and_summed_up_when_asked() -> None:
    thought = finished(generation_config={"thinking_summaries": "auto"})["steps"][0]
    assert thought["signature"]
    assert thought["summary"][0]["text"].startswith("[emulated]")


@pytest.mark.parametrize("pages", [1, 3, 12])
@pytest.mark.parametrize("compressed", [True, False])
def test_the_pages_of_a_pdf_are_counted(pages: int, compressed: bool) -> None:
    from fpdf import FPDF

    pdf = FPDF()
    pdf.set_compression(compressed)
    for _ in range(pages):
        pdf.add_page()
    data = bytes(pdf.output())
    document = {"type": "document", "data": b64encode(data).decode(), "mime_type": "application/pdf"}
    usage = finished(input=[document])["usage"]
    assert {"modality": "document", "tokens": pages * 258} in usage["input_tokens_by_modality"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.56", 1234.56),
        ("1.234,56", 1234.56),
        ("1'234", 1234),
        ("12,5", 12.5),
        ("1,000", 1000),
        ("7.", 7),
        ("-3", -3),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, value: float) -> None:
    found = Style().value(plain(text).rstrip("."))
    assert found is not None
    assert found[0] == value


@pytest.mark.parametrize(
    "text", ["2024-04-03", "03.04.2024", "3/4/2024", "3 April 2024", "April 3, 2024", "on Apr. 3 2024"]
)
def test_dates_are_read_as_people_write_them(text: str) -> None:
    found = find_date(text)
    assert found is not None
    assert found.iso == "2024-04-03"


def test_a_date_that_does_not_exist_is_none() -> None:
    assert find_date("2024-02-30") is None


@pytest.mark.parametrize("pattern", [r"(?=a)b", r"a{999}", r"\bword", "[", "(", "a**", "$a", r"(a)\1"])
def test_a_pattern_that_is_not_simple_is_left_alone(pattern: str) -> None:
    assert sample(pattern, b"key") is None
