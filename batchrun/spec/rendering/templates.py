"""Jinja templates over one row, in a sandbox. Row values are data: nothing in a row is ever compiled. Pure.

How a value is written: text as it is, null as nothing, everything else as JSON (`true`, `12.5`, `{"a": [1]}`).
A missing column or field is an error; `{{ x | default('') }}` and `{% if x is defined %}` allow for it. The names in a
template are the row's columns; `row['odd name']` reaches every column. There are no global functions, and
`a.items` is the field `items` where `a` has one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from jinja2 import StrictUndefined, meta
from jinja2 import nodes as jinja_nodes
from jinja2.exceptions import SecurityError, TemplateError, TemplateRuntimeError, TemplateSyntaxError, UndefinedError
from jinja2.utils import missing

from batchrun.errors import RowError, SpecError
from batchrun.spec.rendering.sandbox import Sandbox
from batchrun.spec.rendering.work import bounded

MAX_RENDERED = 32 * 1024 * 1024
"""Characters one template may produce."""

_NAMES_SHOWN = 12
#: Tests and filters that allow for a name that is not there.
_ASKING = ("defined", "undefined", "default", "d")
_NO_COLUMN = "the row has no column "
SLOT_NAMES = ("slot", "date", "run_date")
"""Names that no column need have in a job with a schedule: they are put into its templates before any row comes."""
_T = TypeVar("_T")


class Template:
    """A compiled template. Raises SpecError where the source is not one."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.columns = columns_of(source)
        """Columns the template may read; some only on a branch, some only with a default."""
        self.reads_row = "row" in _names_in(source)
        """Whether it has the name `row`, by which it may read any column."""
        self._template = _compiled(lambda: _ENVIRONMENT.from_string(source))

    def render(self, row: Mapping[str, Any]) -> str:
        """The text for one row. Raises RowError(`template_error`)."""
        return _guarded(lambda: self._text(row), row)

    def _text(self, row: Mapping[str, Any]) -> str:
        context = self._template.new_context(_names(row))
        text = "".join(_capped(self._template.root_render_func(context)))
        if not text.isascii():
            text.encode()
        return text


class Condition:
    """A compiled jinja expression such as `country == 'DE'`. Raises SpecError where the source is not one."""

    def __init__(self, source: str) -> None:
        self.source = source
        try:
            self._expression = _compiled(lambda: _ENVIRONMENT.compile_expression(source, undefined_to_none=False))
            self.columns = columns_of("{{ (" + source + ") }}")
        except SpecError as error:
            raise SpecError("; ".join([str(error), *_mends(source)])) from None

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether the row meets the condition. Raises RowError(`template_error`), also for a column the row lacks."""
        return _guarded(lambda: bool(self._expression(_names(row))), row)


def columns_of(source: str) -> frozenset[str]:
    """Names a template reads from the row. Raises SpecError for a syntax error, `include`, `import` and `extends`."""
    tree = _compiled(lambda: _ENVIRONMENT.parse(source))
    _refuse_unknown(tree)
    if any(True for _ in meta.find_referenced_templates(tree)):
        raise SpecError("include, import and extends are not available; write the text into this template")
    names = _compiled(lambda: meta.find_undeclared_variables(tree))
    return frozenset(names - {"row"}) | _subscripts_of_row(tree)


def _names_in(source: str) -> set[str]:
    return _compiled(lambda: meta.find_undeclared_variables(_ENVIRONMENT.parse(source)))


def _refuse_unknown(tree: jinja_nodes.Template) -> None:
    """Jinja itself finds some only when a row comes to them."""
    filters, tests = tree.find_all(jinja_nodes.Filter), tree.find_all(jinja_nodes.Test)
    for kind, nodes, known in (("filter", filters, _ENVIRONMENT.filters), ("test", tests, _ENVIRONMENT.tests)):
        for node in nodes:
            if node.name not in known:
                close = get_close_matches(node.name, known, 1)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise SpecError(f"there is no {kind} {node.name!r} in templates{_line(node)}{hint}")


def _line(node: jinja_nodes.Node) -> str:
    return f" (line {node.lineno} of the template)"


def _mends(source: str) -> Iterator[str]:
    """What to write instead of other languages' expressions."""
    if "{{" in source or "{%" in source:
        yield "leave the braces out"
    if re.search(r"&&|\|\||\b(?:AND|OR|NOT)\b", source):
        yield "write `and`, `or` and `not`, in lower case"
    if re.search(r"(?<![=!<>])=(?!=)", source):
        yield "equal is `==`"
    if "<>" in source:
        yield "unequal is `!=`"
    if re.search(r"\bnull\b", source, re.IGNORECASE):
        yield "null is `none`"


def _subscripts_of_row(tree: jinja_nodes.Template) -> frozenset[str]:
    return frozenset(
        item.arg.value
        for item in tree.find_all(jinja_nodes.Getitem)
        if isinstance(item.node, jinja_nodes.Name)
        and item.node.name == "row"
        and isinstance(item.arg, jinja_nodes.Const)
        and isinstance(item.arg.value, str)
    )


def _names(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "row": row}


def _compiled(compile_it: Callable[[], _T]) -> _T:
    try:
        with bounded():  # what is constant is worked out here
            return compile_it()
    except TemplateSyntaxError as error:
        raise SpecError(f"{error.message} (line {error.lineno} of the template)") from None
    except (TemplateError, RecursionError, SyntaxError, ValueError, MemoryError) as error:
        raise SpecError(f"no template can be made of this: {error}") from None


def _guarded(evaluate: Callable[[], _T], row: Mapping[str, Any]) -> _T:
    try:
        with bounded():
            return evaluate()
    except RowError:
        raise
    except UndefinedError as error:
        raise RowError("template_error", _with_columns(error.message or "undefined", row)) from None
    except SecurityError as error:
        raise RowError("template_error", f"refused by the sandbox: {error.message}") from None
    except TemplateRuntimeError as error:
        raise RowError("template_error", str(error.message)) from None
    except (RecursionError, MemoryError):
        raise RowError("template_error", "the template needs too much memory or recursion") from None
    except UnicodeEncodeError:
        raise RowError("template_error", "the text has half of a surrogate pair, which cannot be sent") from None
    except Exception as error:  # whatever an operator or a filter makes of a row's values
        raise RowError("template_error", f"{type(error).__name__}: {str(error)[:300]}") from None


def lacks_a_column(error: RowError) -> bool:
    """Whether a template failed for a column that the row does not have."""
    return error.kind == "template_error" and str(error).startswith(_NO_COLUMN)


def last_index_of(name: str, source: str) -> int:
    """The highest number that stands in `name[…]` in a template, -1 if none does."""
    items = _compiled(lambda: _ENVIRONMENT.parse(source)).find_all(jinja_nodes.Getitem)
    found = (
        item.arg.value
        for item in items
        if isinstance(item.node, jinja_nodes.Name)
        and item.node.name == name
        and isinstance(item.arg, jinja_nodes.Const)
    )
    return max((index for index in found if isinstance(index, int)), default=-1)


def fields_read_of(name: str, source: str) -> set[str]:
    """The fields that a template reads of a column by `name.field` or `name['field']`."""
    tree = _compiled(lambda: _ENVIRONMENT.parse(source))
    named = (node.attr for node in tree.find_all(jinja_nodes.Getattr) if _is_name(node.node, name))
    items = (node.arg for node in tree.find_all(jinja_nodes.Getitem) if _is_name(node.node, name))
    return {*named, *(item.value for item in items if isinstance(item, jinja_nodes.Const))}


def _is_name(node: jinja_nodes.Node, name: str) -> bool:
    return isinstance(node, jinja_nodes.Name) and node.name == name


def needs(name: str, source: str) -> bool:
    """Whether a template reads a name without asking anywhere if it is there."""
    tree = _compiled(lambda: _ENVIRONMENT.parse(source))
    asking = (node for node in tree.find_all((jinja_nodes.Test, jinja_nodes.Filter)) if node.name in _ASKING)
    asked = {node.node.name for node in asking if isinstance(node.node, jinja_nodes.Name)}
    return name in meta.find_undeclared_variables(tree) - asked


def _with_columns(message: str, row: Mapping[str, Any]) -> str:
    if not message.startswith(_NO_COLUMN):
        return message
    of_slots = message.removeprefix(_NO_COLUMN).strip("'") in SLOT_NAMES
    return f"{message}; it has {_listed(row)}{'; only a job with a `schedule` has dates' if of_slots else ''}"


def _capped(pieces: Iterator[str]) -> Iterator[str]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > MAX_RENDERED:
            raise RowError("template_error", f"the rendered text is longer than {MAX_RENDERED:,} characters")
        yield piece


class _Missing(StrictUndefined):
    """A name or field that is not there, whose message says what is."""

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        if self._undefined_obj is missing:
            return f"{_NO_COLUMN}{self._undefined_name!r}"
        return _no_field(self._undefined_name, self._undefined_obj)


def _no_field(name: object, value: object) -> str:
    if isinstance(value, Mapping):
        return f"no field {name!r} in an object that has {_listed(value)}"
    return f"no field {name!r} in a value of type {type(value).__name__}"


def _listed(names: Mapping[str, Any]) -> str:
    shown = ", ".join(repr(name)[:60] for name in list(names)[:_NAMES_SHOWN])
    return f"{shown or 'nothing'}{', …' if len(names) > _NAMES_SHOWN else ''}"


_ENVIRONMENT = Sandbox(_Missing)
