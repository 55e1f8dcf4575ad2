"""What the model is told about a function comes from its signature and its docstring."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from batchrun.errors import SpecError
from batchrun.spec.judging.schemas import OutputSchema
from tests.tools.conftest import Load

PARTS = '''\
from __future__ import annotations
import dataclasses, datetime, decimal, enum, functools, typing, uuid
from typing import Annotated, Any, Literal, Optional, Union
from pydantic import BaseModel, Field
from typing_extensions import NotRequired, TypedDict

class Unit(enum.Enum):
    """Units of heat."""
    C = "celsius"
    F = "fahrenheit"

class Floor(enum.IntEnum):
    GROUND = 0
    FIRST = 1

@dataclasses.dataclass
class Point:
    lat: float
    lon: float = 0.5

class Wish(TypedDict):
    what: str
    many: NotRequired[int]

class Node(BaseModel):
    """A node."""
    name: str = Field(description="Its name.")
    kids: list[Node] = []
    parent: Node | None = None

'''
STRING, INTEGER = {"type": "string"}, {"type": "integer"}
NODE_AGAIN = {"type": "object", "description": "Again a Node, as above."}


def parameter(load: Load, hint: str) -> dict[str, Any]:
    """The schema of a parameter with that hint, and a default if one follows."""
    box = load(f"{PARTS}def work(value: {hint}): ...\n", "job_functions:work")
    schema: dict[str, Any] = box.declarations[0]["parameters"]["properties"]["value"]
    return schema


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        ("str", STRING),
        ("int", INTEGER),
        ("float", {"type": "number"}),
        ("bool", {"type": "boolean"}),
        ("None", {"type": "null"}),
        ("list[str]", {"type": "array", "items": STRING}),
        ("list[list[int]]", {"type": "array", "items": {"type": "array", "items": INTEGER}}),
        ("dict", {"type": "object"}),
        ("dict[str, Any]", {"type": "object"}),
        ("dict[str, int]", {"type": "object", "description": '(additionalProperties: {"type": "integer"})'}),
        ("Literal['a', 'b']", {"type": "string", "enum": ["a", "b"]}),
        ("Literal['a']", {"type": "string", "enum": ["a"]}),
        ("Literal['a', 1]", {"anyOf": [{"type": "integer", "enum": [1]}, {"type": "string", "enum": ["a"]}]}),
        ("Literal[True]", {"type": "boolean"}),
        ("Unit", {"type": "string", "enum": ["celsius", "fahrenheit"], "description": "Units of heat."}),
        ("Floor", {"type": "integer", "enum": [0, 1]}),
        ("datetime.date", {"type": "string", "format": "date"}),
        ("datetime.datetime", {"type": "string", "format": "date-time"}),
        ("uuid.UUID", {"type": "string", "description": '(format: "uuid")'}),
        ("Optional[int]", {"anyOf": [INTEGER, {"type": "null"}]}),
        ("Optional[int] = None", INTEGER),
        ("Literal['a', None] = None", {"type": "string", "enum": ["a"]}),
        ("int | str", {"anyOf": [INTEGER, STRING]}),
        ("set[int]", {"type": "array", "items": INTEGER, "description": "(uniqueItems: true)"}),
        ("tuple[int, ...]", {"type": "array", "items": INTEGER}),
        ("int = 5", {"type": "integer", "description": "(default: 5)"}),
        ("str = 'EUR'", {"type": "string", "description": '(default: "EUR")'}),
        ("list[int] = list(range(1000))", {"type": "array", "items": INTEGER}),
        ("int | None = object()", {"anyOf": [INTEGER, {"type": "null"}]}),
        ("Annotated[int, Field(ge=1, le=9)]", {"type": "integer", "minimum": 1, "maximum": 9}),
        ("Annotated[int, Field(gt=1, lt=9)]", {"type": "integer", "minimum": 2, "maximum": 8}),
        ("Annotated[int, Field(gt=1, ge=5)]", {"type": "integer", "minimum": 5}),
        ("Annotated[float, Field(gt=1.5)]", {"type": "number", "description": "(exclusiveMinimum: 1.5)"}),
        (r"Annotated[str, Field(pattern=r'^\d+$')]", {"type": "string", "description": r'(pattern: "^\d+$")'}),
        ("Annotated[list[int], Field(min_length=2)]", {"type": "array", "items": INTEGER, "minItems": 2}),
        ("Annotated[str, Field(description='A city.')]", {"type": "string", "description": "A city."}),
        ("typing.List['Floor']", {"type": "array", "items": {"type": "integer", "enum": [0, 1]}}),
    ],
)  # fmt: skip
def test_a_type_hint_becomes_a_schema(load: Load, hint: str, schema: dict[str, Any]) -> None:
    assert parameter(load, hint) == schema


def test_a_tuple_tells_its_order_in_words(load: Load) -> None:
    assert parameter(load, "tuple[int, str]") == {
        "type": "array",
        "minItems": 2,
        "maxItems": 2,
        "items": {"anyOf": [INTEGER, STRING]},
        "description": '(in this order: [{"type": "integer"}, {"type": "string"}])',
    }


def test_classes_are_written_out_in_place(load: Load) -> None:
    number = {"type": "number"}
    point = {
        "type": "object",
        "required": ["lat"],
        "properties": {"lat": number, "lon": {**number, "description": "(default: 0.5)"}},
    }
    wish = {"type": "object", "required": ["what"], "properties": {"what": STRING, "many": INTEGER}}
    assert parameter(load, "Point") == point
    assert parameter(load, "Wish") == wish
    assert parameter(load, "list[Point]") == {"type": "array", "items": point}
    assert parameter(load, "Annotated[Point, Field(description='Where.')]") == {**point, "description": "Where."}
    assert parameter(load, "Point | Wish | None = None") == {"anyOf": [point, wish]}


def test_a_class_that_holds_itself_ends_after_one_level(load: Load) -> None:
    assert parameter(load, "Node") == {
        "type": "object",
        "description": "A node.",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "description": "Its name."},
            "kids": {"type": "array", "items": NODE_AGAIN, "description": "(default: [])"},
            "parent": NODE_AGAIN,
        },
    }


def test_parameters_with_defaults_are_not_required_and_an_empty_list_of_them_is_left_out(load: Load) -> None:
    box = load("def a(x: int, y: int = 2, *, z: int): ...\ndef b(x: int = 1): ...\ndef c(): ...\n")
    declared = {tool["name"]: tool for tool in box.declarations}
    assert declared["a"]["parameters"]["required"] == ["x", "z"]
    assert "required" not in declared["b"]["parameters"]
    assert declared["c"] == {"type": "function", "name": "c"}


GOOGLE = """Tells the weather
    of a city.

    It asks a service.

    Args:
        city (str): The city,
            with its country.
        days: How many days.
        unit: Not this.

    Returns:
        A report.
    """
NUMPY = """Tells the weather of a city.

    It asks a service.

    Parameters
    ----------
    city : str
        The city, with its
        country.
    days, nights : int
        How many days.
    """
REST = """Tells the weather of a city.

    :param city: The city, with its country.
    :type city: str
    :param int days: How many days.
    :returns: A report.
    """


@pytest.mark.parametrize("docstring", [GOOGLE, NUMPY, REST])
def test_descriptions_come_from_the_docstring_in_three_styles(load: Load, docstring: str) -> None:
    hints = "city: str, days: int = 3, unit: Annotated[str, Field(description='C or F.')] = 'C'"
    box = load(
        "from typing import Annotated\nfrom pydantic import Field\n"
        f'def weather({hints}) -> str:\n    """{docstring}"""\n'
    )
    tool = box.declarations[0]
    assert tool["description"] == "Tells the weather of a city."
    said = {name: schema["description"] for name, schema in tool["parameters"]["properties"].items()}
    assert said == {
        "city": "The city, with its country.",
        "days": "How many days. (default: 3)",
        "unit": 'C or F. (default: "C")',
    }


@pytest.mark.parametrize(
    ("docstring", "summary"),
    [("", None), ("Plain words\\n  go on.", "Plain words go on."), ("Args:\\n\\n:param", "Args:")],
)
def test_a_docstring_of_no_style_has_a_first_paragraph_all_the_same(
    load: Load, docstring: str, summary: str | None
) -> None:
    box = load(f'def f(x: int):\n    "{docstring}"\n')
    assert box.declarations[0].get("description") == summary


def test_partials_methods_wrapped_functions_and_callable_objects_can_be_named(load: Load) -> None:
    code = """
class Shop:
    def price(self, item: str) -> int:
        "The price."
    def __call__(self, item: str) -> int:
        "Buys."
price = Shop().price
buy = Shop()
def add(a: int, b: int) -> int:
    "Adds."
more = functools.partial(add, 1)
cached = functools.lru_cache(add)
"""
    names = ["price", "buy", "more", "cached"]
    box = load(PARTS + code, *(f"job_functions:{name}" for name in names))
    assert [tool["name"] for tool in box.declarations] == names
    assert [tool["description"] for tool in box.declarations] == ["The price.", "Buys.", "Adds.", "Adds."]
    assert [list(tool["parameters"]["properties"]) for tool in box.declarations] == [
        ["item"],
        ["item"],
        ["b"],
        ["a", "b"],
    ]


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("x", "job_functions:f: parameter 'x' has no type hint, so the model would guess; write for example x: str"),
        ("a: int, x=5", "parameter 'x' has no type hint"),
        ("*x: int", "parameter 'x' takes any number of values"),
        ("**x: int", "parameter 'x' takes any number of values"),
        ("x: Any", "parameter 'x': the model needs the type of every value"),
        ("x: object", "parameter 'x': the model needs the type of every value"),
        ("x: list", "parameter 'x': the model needs the type of every value"),
        ("x: list[Any]", "parameter 'x': the model needs the type of every value"),
        ("x: typing.Callable[[], int]", "parameter 'x' has a type that JSON Schema cannot describe"),
        ("x: type(NotImplemented)", "parameter 'x' has a type that JSON Schema cannot describe"),
        ("x: Nowhere", "job_functions:f: the type hints cannot be read: NameError: name 'Nowhere' is not defined"),
        ("x: 1 / 0", "the type hints cannot be read: ZeroDivisionError"),
        ("x: int = Field(description='y')", "parameter 'x': write Annotated[…, Field(…)] as the hint"),
        ("größe: int", "parameter 'größe': 'größe' is no name for the API"),
        (f"{'x' * 65}: int", "is no name for the API"),
        (r"x: Annotated[int, Field(description='\ud800')]", "its declaration cannot be sent as JSON"),
    ],
)
def test_a_function_that_cannot_be_declared_names_itself_and_the_parameter(
    load: Load, signature: str, message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        load(f"{PARTS}def f({signature}): ...\n", "job_functions:f")
    assert str(caught.value).startswith("job_functions:f: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_function_needs_a_name_that_the_api_takes(load: Load) -> None:
    with pytest.raises(SpecError, match="'prüfe' is no name for the API"):
        load("def prüfe(): ...\n")


def keywords(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for name, value in schema.items():
            yield name
            yield from keywords(list(value.values()) if name == "properties" else value)
    elif isinstance(schema, list):
        for item in schema:
            yield from keywords(item)


HINTS = [
    "list[Node]", "dict[str, Node]", "dict[Unit, int]", "Point | Wish | None", "decimal.Decimal", "bytes",
    "datetime.timedelta", "Annotated[str, Field(min_length=1, max_length=5)]", "tuple[Point, Unit]",
    "Annotated[Union[Node, Point], Field(title='T', examples=[1])]",
]  # fmt: skip


@pytest.mark.parametrize("hint", HINTS)
def test_only_keywords_that_the_service_reads_are_used(load: Load, hint: str) -> None:
    schema = parameter(load, hint)
    known = {"type", "description", "properties", "required", "items", "enum", "anyOf", "format"}
    assert set(keywords(schema)) <= known | {"minimum", "maximum", "minItems", "maxItems"}
    assert OutputSchema(schema).sha  # and it is JSON Schema


def test_the_fingerprint_is_of_what_the_model_is_told(load: Load) -> None:
    code = 'def a(x: int) -> int:\n    "Adds."\n    return x\ndef b(): ...\n'
    before = load(code).fingerprint
    assert len(before) == 16
    assert load(code.replace("return x", "return x + 1")).fingerprint == before
    assert load(code, "job_functions:b", "job_functions:a").fingerprint == before
    changed = [("Adds.", "Adds!"), ("x: int", "x: str"), ("x: int", "x: int = 1"), ("def a", "def c")]
    assert before not in [load(code.replace(*change)).fingerprint for change in changed]
