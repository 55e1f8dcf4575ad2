"""Random pipelines: their stages, the rows of their input, and what a user may edit in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tests.pipelines.steps import SCHEMA

GROUPS = ("x", "y", None, "")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the input; `spoiled` is how it cannot be used, "" if it can."""

    key: str
    n: int
    g: str | None
    spoiled: str = ""

    @property
    def data(self) -> dict[str, Any] | None:
        if self.spoiled == "bad_json":
            return None
        key = {} if self.spoiled == "bad_key" else {"id": self.key}
        return {**key, "n": self.n, "g": self.g}

    @property
    def text(self) -> str:
        return "{" if self.data is None else json.dumps(self.data)


@dataclass(frozen=True, slots=True)
class Step:
    """A stage. `kind` is `request` or what its transform does, `when` the remainder by 3 of rows that it leaves out.

    `by` is "g", "all" or "" for a stage that is no batch. A request `reads` the column n, or does not.
    """

    name: str
    needs: tuple[str, ...]
    kind: str
    salt: int
    schema: bool = False
    reads: bool = True
    when: int | None = None
    by: str = ""
    failed: str = "skip"
    continues: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """A pipeline and its input."""

    steps: tuple[Step, ...]
    lines: tuple[Line, ...]

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)

    def seen(self, step: Step) -> list[str]:
        """The stages of which a row of this one has an output; of a batch, its members."""
        found: set[str] = set()
        for need in step.needs:
            if need != "input":
                found |= {need, *(() if self.step(need).by else self.seen(self.step(need)))}
        return [each.name for each in self.steps if each.name in found]

    def columns(self, step: Step) -> tuple[str, ...]:
        """The columns of the input that its rows have before it."""
        above = [self.step(need) for need in step.needs if need != "input"]
        for each in above:
            if each.by:
                return ("g",) if each.by == "g" else ()
        return self.columns(above[0]) if above else ("n", "g")

    def level(self, step: Step) -> str:
        """Stages of one level can be joined."""
        if step.by:
            return f"by {step.by}"
        need = step.needs[0]
        return "input" if need == "input" else self.below(self.step(need))

    def below(self, step: Step) -> str:
        return self.level(step) + (f" items of {step.name}" if step.kind == "explode" else "")

    def document(self, name: str = "flow") -> dict[str, Any]:
        """The job file."""
        return {
            "name": name,
            "input": {"path": "rows.jsonl", "key": "id"},
            "stages": {step.name: self._stage(step) for step in self.steps},
            "retry": {"ambiguous": {"model": "resubmit", "max_resubmits": 1000}},
        }

    def module(self) -> str:
        """The source of the transforms."""
        made = [step for step in self.steps if step.kind != "request"]
        lines = ["from tests.pipelines.steps import work"]
        lines += [f"def {step.name}(given): return work({step.kind!r}, {step.salt}, given)" for step in made]
        return "\n".join([*lines, ""])

    @property
    def valid(self) -> bool:
        """Whether the stages can be put together."""
        known = {"input"}
        for step in self.steps:
            if not known.issuperset(step.needs) or not self._holds(step):
                return False
            known.add(step.name)
        return True

    def _holds(self, step: Step) -> bool:
        above = [self.step(need) for need in step.needs if need != "input"]
        if len({self.below(each) for each in above}) > 1 or (step.by and len(step.needs) > 1):
            return False
        if step.by == "g" and {each.by for each in above_of(self, step)} - {"", "g"}:
            return False
        before = next((each for each in self.steps if each.name == step.continues), None)
        return not step.continues or (
            step.kind == "request" and not step.by and before is not None
            and before.name in self.seen(step) and before.kind == "request"
        )  # fmt: skip

    def _stage(self, step: Step) -> dict[str, Any]:
        found: dict[str, Any] = {"needs": list(step.needs)} if step.needs != ("input",) else {}
        if step.by:
            by = {} if step.by == "all" else {"by": step.by}
            found["batch"] = {**by, "failed": step.failed}
        if step.when is not None:
            found["when"] = self._condition(step)
        if step.kind != "request":
            return {**found, "transform": f"steps:{step.name}", **({"explode": True} if step.kind == "explode" else {})}
        schema = {"response_format": {"schema": SCHEMA}} if step.schema else {}
        more = {"continue": step.continues} if step.continues else {}
        return {**found, **more, "request": {"model": "gemini-3.5-flash", "input": self._prompt(step), **schema}}

    def _prompt(self, step: Step) -> str:
        head = f"{step.name} {step.salt}:"
        inner = "".join(_shown(name, "r." if step.by else "") for name in self.seen(step))
        n = "n" in self.columns(step) and step.reads
        if not step.by:
            return head + (" {{ n }}" if n else "") + inner
        g = " {{ g | default('-', true) }}" if step.by == "g" else ""
        return f"{head}{g}{{% for r in rows %}} ({{{{ r.key }}}}{' {{ r.n }}' if n else ''}{inner}){{% endfor %}}"

    def _condition(self, step: Step) -> str:
        if step.by:
            return (
                f"rows | length % 3 != {step.when}"
                if step.by == "all"
                else f"(g | default('', true)) | length % 3 != {step.when}"
            )
        seen = self.seen(step)
        if not seen:
            return f"n % 3 != {step.when}"
        output = f"stages.{seen[-1]}.output"
        return f"({output}.n if {output} is mapping else 0) % 3 != {step.when}"


def _shown(name: str, at: str) -> str:
    output = f"{at}stages.{name}.output"
    return f" {name}={{% if {output} is mapping %}}{{{{ {output}.n }}}}{{% else %}}{{{{ {output} }}}}{{% endif %}}"


def plan_of(random: Random) -> Plan:
    """Any pipeline of two to six stages, and up to twelve rows."""
    plan = grounded(Plan((), lines(random, random.choice((0, 1, 2, 3, 5, 8, 12)))))
    for number in range(random.randint(2, 6)):
        plan = replace(plan, steps=(*plan.steps, a_step(random, plan, f"s{number}")))
    return plan


def grounded(plan: Plan) -> Plan:
    """The plan with a row that has columns, if it has any rows: batches by a column that no row has are refused."""
    if not plan.lines or any(line.data for line in plan.lines):
        return plan
    return replace(plan, lines=(replace(plan.lines[0], spoiled=""), *plan.lines[1:]))


def lines(random: Random, count: int, first: int = 0) -> tuple[Line, ...]:
    return tuple(line(random, f"r{number}") for number in range(first, first + count))


def line(random: Random, key: str) -> Line:
    key = random.choice((key, key, key, f"{key}/0", f"{key}:a"))
    spoiled = random.choice(("bad_json", "bad_key")) if random.random() < 0.08 else ""
    return Line(key, random.randrange(12), random.choice(GROUPS), spoiled)


def a_step(random: Random, plan: Plan, name: str) -> Step:
    """A stage that may follow those of the plan."""
    kind = random.choice(("request", "request", "request", "map", "filter", "raise", "explode"))
    step = Step(name, needs_of(random, plan), kind, random.randrange(50), random.random() < 0.6, random.random() < 0.6)
    if len(step.needs) == 1 and random.random() < 0.3:
        above = {each.by for each in above_of(plan, step)} - {""}
        by = random.choice(("g", "all")) if not above or above == {"g"} else "all"
        step = replace(step, by=by, failed=random.choice(("skip", "leave_out")))
    step = replace(step, when=random.randrange(3) if random.random() < 0.3 else None)
    can = [each for each in plan.seen(step) if plan.step(each).kind == "request" and not plan.step(each).by]
    if kind == "request" and not step.by and can and random.random() < 0.3:
        step = replace(step, continues=random.choice(can))
    return step


def needs_of(random: Random, plan: Plan) -> tuple[str, ...]:
    if not plan.steps or random.random() < 0.2:
        return ("input",)
    first = random.choice(plan.steps[-2:])
    joinable = [step.name for step in plan.steps if step is not first and plan.below(step) == plan.below(first)]
    return (first.name, *random.sample(joinable, min(len(joinable), random.choice((0, 0, 1, 2)))))


def above_of(plan: Plan, step: Step) -> list[Step]:
    found = [plan.step(need) for need in step.needs if need != "input"]
    return [*found, *(other for each in found for other in above_of(plan, each))]


Edit = Callable[[Random, Plan], Plan]


def _edit_step(change: Callable[[Random, Step], Step], wanted: Callable[[Step], bool]) -> Edit:
    def edit(random: Random, plan: Plan) -> Plan:
        can = [step for step in plan.steps if wanted(step)]
        chosen = random.choice(can) if can else None
        return replace(plan, steps=tuple(change(random, step) if step is chosen else step for step in plan.steps))

    return edit


def _edit_line(random: Random, plan: Plan) -> Plan:
    at = random.randrange(len(plan.lines)) if plan.lines else 0
    old = plan.lines[at : at + 1]
    new = tuple(replace(line(random, each.key), key=each.key) for each in old)
    return replace(plan, lines=(*plan.lines[:at], *new, *plan.lines[at + 1 :]))


def _add_lines(random: Random, plan: Plan) -> Plan:
    more = lines(random, random.randint(1, 3), random.randrange(100, 1_000_000))
    at = random.randint(0, len(plan.lines))
    return replace(plan, lines=(*plan.lines[:at], *more, *plan.lines[at:]))


def _remove_line(random: Random, plan: Plan) -> Plan:
    gone = random.choice(plan.lines) if plan.lines else None
    return replace(plan, lines=tuple(each for each in plan.lines if each is not gone))


def _shuffle(random: Random, plan: Plan) -> Plan:
    return replace(plan, lines=tuple(random.sample(plan.lines, len(plan.lines))))


def _add_step(random: Random, plan: Plan) -> Plan:
    return replace(plan, steps=(*plan.steps, a_step(random, plan, f"e{random.randrange(1_000_000)}")))


def _remove_step(random: Random, plan: Plan) -> Plan:
    needed = {need for step in plan.steps for need in step.needs}
    can = [step for step in plan.steps if step.name not in needed]
    gone = random.choice(can) if len(plan.steps) > 1 else None
    return replace(plan, steps=tuple(step for step in plan.steps if step is not gone))


def _other_needs(random: Random, plan: Plan) -> Plan:
    at = random.randrange(len(plan.steps))
    step = replace(plan.steps[at], needs=needs_of(random, replace(plan, steps=plan.steps[:at])))
    return replace(plan, steps=(*plan.steps[:at], step, *plan.steps[at + 1 :]))


def _other_batch(random: Random, step: Step) -> Step:
    by = random.choice(("", "g", "all"))
    return replace(step, by=by)


def _other_continue(random: Random, plan: Plan) -> Plan:
    at = random.randrange(len(plan.steps))
    step = plan.steps[at]
    step = replace(step, continues="" if step.continues else random.choice(["", *plan.seen(step)]))
    return replace(plan, steps=(*plan.steps[:at], step, *plan.steps[at + 1 :]))


EDITS: dict[str, Edit] = {
    "prompt": _edit_step(lambda r, s: replace(s, salt=r.randrange(50)), lambda s: s.kind == "request"),
    "code": _edit_step(lambda r, s: replace(s, salt=r.randrange(50)), lambda s: s.kind != "request"),
    "what is done": _edit_step(
        lambda r, s: replace(s, kind=r.choice(("request", "map", "filter", "raise", "explode"))), lambda s: True
    ),
    "needs": _other_needs,
    "batch": _edit_step(_other_batch, lambda s: True),
    "continue": _other_continue,
    "reads": _edit_step(lambda r, s: replace(s, reads=not s.reads), lambda s: s.kind == "request"),
    "schema": _edit_step(lambda r, s: replace(s, schema=not s.schema), lambda s: s.kind == "request"),
    "when": _edit_step(lambda r, s: replace(s, when=r.choice((None, 0, 1, 2))), lambda s: True),
    "failed": _edit_step(
        lambda r, s: replace(s, failed="skip" if s.failed == "leave_out" else "leave_out"), lambda s: bool(s.by)
    ),
    "line": _edit_line,
    "more lines": _add_lines,
    "line gone": _remove_line,
    "order": _shuffle,
    "more stages": _add_step,
    "stage gone": _remove_step,
}


def edited(random: Random, plan: Plan) -> tuple[str, Plan]:
    """An edit's name, and the plan after it."""
    name = random.choice(list(EDITS))
    after = grounded(EDITS[name](random, plan))
    return (name, after) if after.valid else (f"no {name}", plan)


def told(plans: Sequence[Plan]) -> str:
    """Plans for people."""
    return "\n\n".join("\n".join(map(str, (*plan.steps, *plan.lines))) for plan in plans)
