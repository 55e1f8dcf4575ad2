"""Templates write rows as they are, say what is missing, and never run what a row contains."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.errors import RowError, SpecError
from batchrun.spec.rendering import templates
from batchrun.spec.rendering.templates import Condition, Template

from .corpus import corpus

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def rendered(source: str, **row: Any) -> str:
    return Template(source).render(row)


def error(source: str, **row: Any) -> str:
    with pytest.raises(RowError) as caught:
        Template(source).render(row)
    assert caught.value.kind == "template_error"
    return str(caught.value)


@given(TEXT)
def test_a_text_value_is_written_unchanged(value: str) -> None:
    assert rendered("{{ x }}", x=value) == value
    assert Template("a {{ row['odd name'] }}\n").render({"odd name": value}) == f"a {value}\n"


def test_the_naughty_strings_are_written_unchanged() -> None:
    strings = json.loads(corpus("blns/blns.json").read_text(encoding="utf-8"))
    assert len(strings) == 515
    assert [text for text in strings if rendered("<{{ x }}>", x=text) != f"<{text}>"] == []


@pytest.mark.parametrize("value", ["{{ 7*7 }}", "{% for x in y %}", "{# #}", "{{ ''.__class__ }}", "{% raw %}"])
def test_a_row_value_is_never_a_template(value: str) -> None:
    assert rendered("{{ x }} {{ [x] | join }} {{ x ~ '' }}", x=value) == f"{value} {value} {value}"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "true"), (1.0, "1.0"), (12, "12"), ({"a": ["ü", None]}, '{"a": ["ü", null]}'), ([], "[]")],
)
def test_null_is_nothing_and_what_is_no_text_is_json(value: object, text: str) -> None:
    assert rendered("{{ x }}", x=value) == text
    assert rendered("{{ x ~ '' }}", x=value) == text
    assert rendered("{{ [x] | join(',') }}", x=value) == text
    assert rendered("{{ x | string }}", x=value) == text


def test_tojson_writes_json_without_html_escapes() -> None:
    assert rendered("{{ x | tojson }}", x={"a": "<b> & 'c'"}) == """{"a": "<b> & 'c'"}"""


def test_json_in_a_template_needs_no_escaping() -> None:
    assert rendered('{"a": {"b": "{{ x }}"}}\n', x="y") == '{"a": {"b": "y"}}\n'


def test_a_missing_column_is_named_with_those_that_are_there() -> None:
    assert error("{{ nmae }}", name=1, id=2) == "the row has no column 'nmae'; it has 'name', 'id'"
    assert error("{% if nmae %}x{% endif %}", name=1).startswith("the row has no column 'nmae'")
    assert "'c11', …" in error("{{ x }}", **{f"c{i}": i for i in range(1000)})


def test_a_missing_field_is_named_with_its_siblings() -> None:
    assert error("{{ a.b.c }}", a={"b": {"d": 1}}) == "no field 'c' in an object that has 'd'"
    assert error("{{ a.b }}", a="text") == "no field 'b' in a value of type str"
    assert "no field 3" in error("{{ a[3] }}", a=[1])


def test_a_template_can_allow_for_what_is_missing() -> None:
    assert rendered("{{ x | default('none') }}{% if y is defined %}y{% endif %}") == "none"


def test_a_field_comes_before_the_method_of_the_same_name() -> None:
    assert rendered("{{ a.items }}", a={"items": [1]}) == "[1]"
    assert rendered("{% for k, v in a.items() %}{{ k }}{{ v }}{% endfor %}", a={"b": 1}) == "b1"
    assert "cannot be written" in error("{{ a.items }}", a={})


def test_a_lazy_list_is_an_error_and_not_its_address() -> None:
    assert "a generator cannot be written" in error("{{ x | map('upper') }}", x=["a"])


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ x.__init__ }}",
        "{{ x.append(1) }}",
        "{{ '{0.__class__}'.format(x) }}",
        "{{ lipsum() }}",
        "{% for i in range(10) %}{% endfor %}",
        "{{ cycler }}",
        "{{ 1 / 0 }}",
        "{{ x + 1 }}",
        r'{{ "\ud800" }}',
        "{{ 'a' * n }}",
        "{{ n * x }}",
        "{{ 10 ** n }}",
        "{% for a in m %}{% for b in m %}{{ big }}{% endfor %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    ],
)
def test_escapes_and_bombs_are_row_errors(source: str) -> None:
    error(source, x=[1], n=10**9, m=list(range(300)), big="x" * 1000)


@pytest.mark.parametrize(
    "source",
    [
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (n, 1) }}",
        "{{ '%1000000000s' | format('b') }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ '{:{}}'.format(1, n) }}",
        "{{ 'a'.ljust(n) }}",
        "{{ 'a'.zfill(n) }}",
        "{{ 'a' | indent(n) }}",
        "{{ lines | indent(50000) | length }}",
        "{{ lines | indent(big) | length }}",
        "{{ lines | map('indent', 100000, true) | list | length }}",
        "{{ lines | replace('\n', big) | length }}",
        "{{ lines.replace('\n', big) | length }}",
        "{{ lines | join(big) | length }}",
        "{{ big.join(lines) | length }}",
        "{{ big.join(lines | map('upper')) | length }}",
        "{{ lines.expandtabs(n) }}",
        "{{ [1] | tojson(n) }}",
        "{{ (big * 20) | wordwrap(1) | length }}",
        "{{ [1] | slice(n) | list }}",
        "{{ [1] | batch(n, 0) | list }}",
        "{{ 5 | round(-1000000000) }}",
        "{{ (10 ** 4000) * (10 ** 4000) }}",
        "{{ [[1] * 100000] * 100000 }}",
        "{{ ([[1] * 100000] * 100000) | tojson }}",
        "{{ '{}'.format([[1] * 100000] * 100000) }}",
        "{{ ([[1] * 100000] * 100000) | sum(start=[]) }}",
        "{% for a in lines %}{% for b in lines %}{% endfor %}{% endfor %}",
        "{% for a in lines %}{% if big in lines %}{% endif %}{% endfor %}",
        "{% for a in lines %}{% set b = big[1:] %}{% endfor %}",
        "{% for a in lines %}{% set b = big.upper() %}{% endfor %}",
        "{% for a in lines %}{% set b = big | upper %}{% endfor %}",
        "{% for a in lines recursive %}{% if loop.depth0 < 2 %}{{ loop(lines) }}{% endif %}{% endfor %}",
        "{% set b %}{% for a in lines %}{{ big }}{% endfor %}{% endset %}",
        "{% filter upper %}{% for a in lines %}{{ big }}{% endfor %}{% endfilter %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% macro f(x) %}{{ f(x ~ x) }}{% endmacro %}{{ f('a') }}",
    ],
)
def test_no_row_makes_a_template_work_without_end(source: str) -> None:
    said = error(source, n=10**9, big="x" * 10_000, lines="\n" * 100_000)
    assert re.search("too much|too large|at most|adds numbers|no field|unsafe", said)


def test_work_on_the_largest_of_rows_is_within_the_bound() -> None:
    text = "word " * (16 * 1024 * 1024 // 5)
    assert len(rendered("{{ x | trim | replace('word', 'Word') }}{% if 'none' in x %}{% endif %}", x=text)) > 16_000_000
    many = [1] * 4_000_000
    assert len(rendered("{{ x }}", x=many)) == 3 * len(many)
    assert rendered("{% for a in x %}{% if a == 2 %}{{ a }}{% endif %}{% endfor %}", x=many[:2_000_000]) == ""


def test_what_is_spent_on_one_row_is_not_missing_for_the_next() -> None:
    template = Template("{% for a in x %}{% endfor %}")
    rows = [{"x": [1] * 3_000_000}] * 2
    assert [template.render(row) for row in rows] == ["", ""]


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a &amp; b</p>\n<!-- <b> --> c", "a & b c"),
        ("a < b", "a < b"),
        ("<!-- open", "<!-- open"),
        ("<b>x</b>" * 3, "xxx"),
    ],
)
def test_tags_are_stripped(html: str, text: str) -> None:
    assert rendered("{{ x | striptags }}", x=html) == text


def test_stripping_many_tags_takes_no_longer_than_reading_them() -> None:
    assert rendered("{{ x | striptags | length }}", x="<!-- --><b>x</b>" * 200_000) == "200000"


def test_the_rendered_size_has_a_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "MAX_RENDERED", 10)
    assert rendered("{{ x }}", x="a" * 10)
    assert "longer than 10 characters" in error("{{ x }}{{ x }}", x="a" * 6)


@pytest.mark.parametrize(
    "source",
    ["{{ x", "{% if %}", "{{ x | nope }}", "{% include 'a' %}", "{% extends x %}", "{{ x | random }}", "{% zz %}"],
)
def test_what_is_no_template_is_a_spec_error(source: str) -> None:
    with pytest.raises(SpecError):
        Template(source)


def test_a_syntax_error_gives_the_line_of_the_template() -> None:
    with pytest.raises(SpecError, match=r"line 2 of the template"):
        Template("fine\n{{ x")


@given(st.text("{}%# xif|.'\"()[]\n-", max_size=20))
def test_any_source_compiles_or_is_a_spec_error(source: str) -> None:
    try:
        template = Template(source)
    except SpecError:
        return
    try:
        template.render({"x": 1})
    except RowError:
        return


def test_the_columns_of_a_template_are_known() -> None:
    source = "{{ a.b }}{% for c in d %}{{ c }}{% endfor %}{{ row['e f'] }}{% if g is defined %}{{ g }}{% endif %}"
    assert Template(source).columns == {"a", "d", "e f", "g"}


def test_a_column_named_row_is_still_reached() -> None:
    assert rendered("{{ row['row'] }}{{ row.row }}{{ row.self }}", row="r", self="s") == "rrs"


def test_a_condition_holds_or_does_not() -> None:
    assert Condition("country == 'DE' and n > 1").holds({"country": "DE", "n": 2})
    assert not Condition("country == 'DE'").holds({"country": "FR"})
    assert Condition("row['odd name'] is none").holds({"odd name": None})
    assert Condition("a == 1 or b == 2").columns == {"a", "b"}


def test_a_condition_over_a_missing_column_is_a_row_error() -> None:
    with pytest.raises(RowError, match="no column 'country'"):
        Condition("country == 'DE'").holds({"land": "DE"})
    assert not Condition("country is defined").holds({"land": "DE"})


@pytest.mark.parametrize("source", ["", "a =", "a = 1", "(", "a) }} {{ (b"])
def test_what_is_no_condition_is_a_spec_error(source: str) -> None:
    with pytest.raises(SpecError):
        Condition(source)
