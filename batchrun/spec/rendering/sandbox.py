"""The environment templates run in: nothing of Python within reach, and what any row can make it do is bounded. Pure.

Each step is counted before it is done (`work.py`): operators, filters, tests, calls, and every round of a loop. What
makes much of little (a width, a repetition, a replacement) is counted by what it would make. Numbers are kept short.
"""

from __future__ import annotations

import functools
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from string import Formatter
from typing import Any, cast

from jinja2 import Environment, nodes, pass_environment
from jinja2.exceptions import TemplateRuntimeError
from jinja2.filters import make_attrgetter
from jinja2.runtime import LoopContext, StrictUndefined, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from batchrun.spec.rendering.work import CALL, ITEM, STEP, size, spend, walk

_MOST_BITS = 16 * 1024
_MOST_INDENT = 16
_WITHOUT = ("random", "center", "xmlattr", "urlize", "pprint")
_REFUSED_METHODS = {str: {"translate", "expandtabs", "maketrans"}, int: {"to_bytes", "from_bytes"}}
_NUMBER = re.compile(r"\d+")


class Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox in which fields come before methods, without globals."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, undefined: type[Undefined]) -> None:
        super().__init__(undefined=undefined, autoescape=False, keep_trailing_newline=True, finalize=written)
        self.globals.clear()
        for name in _WITHOUT:
            del self.filters[name]
        self.filters |= {"tojson": _tojson, "string": _string, "join": _join, "striptags": _striptags}
        self.filters = {name: _counted(filter_, _GROWTH.get(name)) for name, filter_ in self.filters.items()}
        self.filters |= {"_each": _each, "_read": _read}
        self.tests = {name: _counted(cast(Any, test)) for name, test in self.tests.items()}

    def getattr(self, obj: Any, attribute: str) -> Any:
        spend(STEP)
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        refused = isinstance(obj, bytes) or any(
            isinstance(obj, kind) and attr in names for kind, names in _REFUSED_METHODS.items()
        )
        return not refused and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None

        def checked(*args: Any, **kwargs: Any) -> str:
            spend(_formatted(value.__self__, walk([*args, *kwargs.values()])))
            return wrapped(*args, **kwargs)

        return checked

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        owner, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        spend(CALL + STEP * _items(args) + size(owner) + _sizes(args, kwargs) + _numbers(args, kwargs))
        if isinstance(__obj, LoopContext):  # a loop that calls itself
            args = tuple(_each(each, CALL) for each in args)
        if isinstance(owner, str) and name in ("replace", "join"):
            args = _method_arguments(owner, name, args)
        made = super().call(__context, __obj, *args, **kwargs)
        spend(size(made))
        return made

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if isinstance(left, int) and isinstance(right, int):
            _require_short(operator, left, right)
        else:
            spend(_made_by(operator, left, right))
        return super().call_binop(context, operator, left, right)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        _write_parts(tree)
        _count_rounds(tree)
        _count_reading(tree)
        return tree


# -- what the tree of a template gets ----------------------------------------------------------------------------------


def _filtered(node: Any, name: str, *arguments: int) -> nodes.Filter:
    given = [nodes.Const(argument, lineno=node.lineno) for argument in arguments]
    return nodes.Filter(node, name, given, [], None, None, lineno=node.lineno)


def _write_parts(tree: nodes.Template) -> None:
    """`a ~ b` writes its parts as `{{ }}` does."""
    for joined in tree.find_all(nodes.Concat):
        joined.nodes = [_filtered(part, "string") for part in joined.nodes]


def _count_rounds(tree: nodes.Template) -> None:
    for loop in tree.find_all(nodes.For):
        text = sum(len(data.data) for data in loop.find_all(nodes.TemplateData))
        loop.iter = _filtered(loop.iter, "_each", STEP + text)


def _count_reading(tree: nodes.Template) -> None:
    """What no function does: comparing, looking for a part, cutting one out."""
    for operand in tree.find_all(nodes.Operand):
        operand.expr = _filtered(operand.expr, "_read")
    for item in tree.find_all(nodes.Getitem):
        if isinstance(item.arg, nodes.Slice):
            item.node = _filtered(item.node, "_read")


def _each(value: Any, cost: int) -> Iterator[Any]:
    for item in value:
        spend(cost)
        yield item


def _read(value: Any) -> Any:
    spend(size(value))
    return value


# -- what a step costs -------------------------------------------------------------------------------------------------


def _sizes(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    return sum(map(size, args)) + sum(map(size, kwargs.values()))


def _items(args: tuple[Any, ...]) -> int:
    return sum(len(each) for each in args if isinstance(each, list | tuple | dict))


def _numbers(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    """Widths and counts."""
    return sum(abs(each) for each in (*args, *kwargs.values()) if isinstance(each, int))


def _counted(function: Callable[..., Any], growth: Callable[..., int] | None = None) -> Callable[..., Any]:
    @functools.wraps(function)
    def counted(*args: Any, **kwargs: Any) -> Any:
        spend(STEP + _sizes(args, kwargs))
        if growth is not None:
            spend(growth(*args, **kwargs))
        return function(*args, **kwargs)

    return counted


def _require_short(operator: str, left: int, right: int) -> None:
    spend(STEP)
    bits = left.bit_length() * abs(right) if operator == "**" else left.bit_length() + right.bit_length()
    if bits > _MOST_BITS:
        raise TemplateRuntimeError(f"the result of {operator} would be too large")


def _made_by(operator: str, left: Any, right: Any) -> int:
    if operator == "%" and isinstance(left, str):
        return _percented(left, right)
    if operator == "*" and (isinstance(left, int) or isinstance(right, int)):
        count, repeated = (left, right) if isinstance(left, int) else (right, left)
        return STEP + max(count, 1) * size(repeated) * (1 if isinstance(repeated, str) else 8)
    return STEP + size(left) + size(right)


def _percented(text: str, values: Any) -> int:
    """Of `'%5d' % 7`. A width may come from the values (`*`), so each number among them may be one."""
    widths = sum(map(int, _NUMBER.findall(text)))
    if "*" in text:
        widths += _numbers(values if isinstance(values, tuple) else (values,), {})
    return len(text) + (text.count("%") or 1) * (walk(values) + 1) + widths


def _formatted(text: str, given: int) -> int:
    """Of `'{:5}'.format(7)`."""
    fields = [spec or "" for _, name, spec, _ in Formatter().parse(text) if name is not None]
    if any("{" in spec for spec in fields):
        raise TemplateRuntimeError("a width in format is a number, no field")
    return len(text) + len(fields) * (given + 1) + sum(int(n) for spec in fields for n in _NUMBER.findall(spec))


def _replaced(text: str, old: str, new: str) -> int:
    return len(new) * (text.count(old) + 1)


def _indented(value: Any, width: int | str = 4, *_: Any, **__: Any) -> int:
    return (len(width) if isinstance(width, str) else abs(width)) * (str(value).count("\n") + 1)


def _wrapped(value: Any, width: int = 79, *args: Any, **kwargs: Any) -> int:
    """Python's textwrap copies the rest of a long word for each line of it."""
    width, longest = max(width, 1), max(map(len, str(value).split()), default=0)
    between = next((each for each in (*args, *kwargs.values()) if isinstance(each, str)), "\n")
    return STEP * size(value) + longest * longest // width + len(between) * (size(value) // width + 1)


def _by_number(_: Any, *args: Any, **kwargs: Any) -> int:
    return STEP * _numbers(args, kwargs)


def _by_item(*args: Any, **kwargs: Any) -> int:
    return ITEM * _sizes(args, kwargs)


def _summed(*args: Any, **kwargs: Any) -> int:
    start = kwargs.get("start", args[3] if len(args) > 3 else 0)
    if not isinstance(start, int | float):
        raise TemplateRuntimeError("sum adds numbers; put lists together with a loop")
    return _by_item(*args, **kwargs)


_ITEMWISE = (
    "list", "unique", "groupby", "sort", "dictsort", "min", "max", "map", "select", "reject", "selectattr",
    "rejectattr", "reverse", "title", "urlencode",
)  # fmt: skip
#: What filters make beyond what they are given.
_GROWTH: dict[str, Callable[..., int]] = {
    "replace": lambda _, value, old, new, *__: _replaced(str(value), str(old), str(new)),
    "format": lambda value, *args, **kwargs: _percented(str(value), kwargs or args),
    "indent": _indented,
    "wordwrap": lambda _, *args, **kwargs: _wrapped(*args, **kwargs),
    "batch": _by_number,
    "slice": _by_number,
    "round": _by_number,
    "sum": _summed,
    **dict.fromkeys(_ITEMWISE, _by_item),
}


def _method_arguments(owner: str, name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a method that makes much of little, counted; of a lazy list what is in it."""
    if name == "replace" and len(args) > 1:
        spend(_replaced(owner, str(args[0]), str(args[1])))
    if name == "join" and args:
        items = [*_each(args[0], len(owner))]
        spend(sum(map(size, items)))
        return (items,)
    return args


# -- how values are written --------------------------------------------------------------------------------------------


def written(value: Any) -> Any:
    """Text as it is, null as nothing, everything else as JSON."""
    if value is None:
        return ""
    if isinstance(value, str | StrictUndefined):
        spend(size(value))
        return value
    if isinstance(value, bool | int | float | Mapping | list | tuple):
        return _tojson(value)
    raise TemplateRuntimeError(f"a {type(value).__name__} cannot be written; end the expression with | list or | join")


def _tojson(value: Any, indent: int | None = None) -> str:
    if not isinstance(value, bool | int | float):
        walk(value)
    if isinstance(indent, int) and indent > _MOST_INDENT:
        raise TemplateRuntimeError(f"JSON is indented by at most {_MOST_INDENT}")
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _string(value: Any) -> Any:
    text = written(value)
    return text if isinstance(text, str) else str(text)


@pass_environment
def _join(environment: Environment, value: Any, d: str = "", attribute: str | int | None = None) -> str:
    items = value if attribute is None else map(make_attrgetter(environment, attribute), value)
    return d.join(_string(item) for item in _each(items, STEP + size(d)))


def _striptags(value: Any) -> str:
    """Jinja's own copies all the text for each tag."""
    text = _cut_out(_cut_out(_string(value), "<!--", "-->"), "<", ">")
    return html.unescape(" ".join(text.split()))


def _cut_out(text: str, begin: str, end: str) -> str:
    kept, at = [], 0
    while (start := text.find(begin, at)) != -1 and (stop := text.find(end, start)) != -1:
        kept.append(text[at:start])
        at = stop + len(end)
    return "".join([*kept, text[at:]])
