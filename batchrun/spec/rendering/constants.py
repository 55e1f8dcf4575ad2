"""Names in a template or an expression replaced by text that is known before any row is read. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from jinja2 import StrictUndefined, meta
from jinja2 import nodes as jinja_nodes

from batchrun.errors import SpecError
from batchrun.spec.rendering.sandbox import Sandbox

#: Before a name: it is a field, a filter, a test, or what the statement itself declares.
_NOT_A_VALUE = {".", "|", "is", "block", "macro", "filter"}
_ENVIRONMENT = Sandbox(StrictUndefined)


def with_constants(source: str, values: Mapping[str, str]) -> tuple[str, frozenset[str]]:
    """A template with its bare names that have a value replaced by that, and which these are.

    `row.date` stays what it is, and so does a name that the template only gives to something of its own. What is no
    template is left alone. Raises SpecError where a name would be both.
    """
    try:
        tree = _ENVIRONMENT.parse(source)
        free = meta.find_undeclared_variables(tree) & values.keys()
    except Exception:  # whoever compiles it says what is wrong
        return source, frozenset()
    if own := sorted(free & {*_assigned(tree)}):
        raise SpecError(f"{own[0]!r} is known by itself in a job with a `schedule`: give your variable another name")
    return ("".join(_pieces(source, {name: values[name] for name in free})) if free else source), frozenset(free)


def expression_with_constants(source: str, values: Mapping[str, str]) -> tuple[str, frozenset[str]]:
    """The same of an expression such as `day == date`."""
    found, names = with_constants("{{" + source + "}}", values)
    return (found[2:-2], names) if names else (source, names)


def _assigned(tree: jinja_nodes.Template) -> Iterator[str]:
    for name in tree.find_all(jinja_nodes.Name):
        if name.ctx != "load":
            yield name.name
    for macro in tree.find_all(jinja_nodes.Macro):
        yield macro.name


def _pieces(source: str, values: Mapping[str, str]) -> Iterator[str]:
    tokens = [(kind, text) for _, kind, text in _ENVIRONMENT.lex(source)]
    said = [number for number, (kind, _) in enumerate(tokens) if kind != "whitespace"]
    around = {number: (before, after) for before, number, after in zip(said, said[1:], said[2:], strict=False)}
    for number, (kind, text) in enumerate(tokens):
        before, after = around.get(number, (number, number))
        named = tokens[after][1] == "=" or _is_no_value(tokens, before)
        yield f'"{values[text]}"' if kind == "name" and text in values and not named else text


def _is_no_value(tokens: list[tuple[str, str]], before: int) -> bool:
    """Whether what stands before a name makes it something else. `not date` is a value, and `is not date` is none."""
    text = tokens[before][1]
    if text != "not":
        return text in _NOT_A_VALUE
    earlier = [said for kind, said in tokens[:before] if kind != "whitespace"]
    return earlier[-1:] == ["is"]
