"""What the tables of a pipeline must be in the end, by the plainest reading of its plan. It shares no code with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.pipelines.plans import Line, Plan, Step
from tests.pipelines.steps import Said, said_to, work

ANY = "…"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table. `why` is for rows that are skipped, `asked` what the model is asked, "" where nothing is."""

    outcome: str
    kind: str | None = None
    output: Any = None
    why: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    position: int = 0
    asked: str = ""
    columns_known: bool = True

    @property
    def failed(self) -> bool:
        return self.outcome not in ("succeeded", "skipped") or self.kind == "upstream_failed"


Table = dict[str, Row]


def tables(plan: Plan) -> dict[str, Table]:
    """Each stage's rows by their keys; `input` too."""
    found = {"input": _input(plan.lines)}
    for step in plan.steps:
        found[step.name] = _batches(plan, step, found) if step.by else _rows(plan, step, found)
    return found


def _input(lines: tuple[Line, ...]) -> Table:
    found: Table = {}
    for position, line in enumerate(lines):
        if line.spoiled:
            key = f"rows.jsonl:{position + 1}"
            data = {**(line.data or {})}
            found[key] = Row("failed", line.spoiled, data=data, position=position, columns_known=line.data is not None)
        else:
            found[line.key] = Row("succeeded", data={**(line.data or {}), "stages": {}}, position=position)
    return found


def _rows(plan: Plan, step: Step, found: dict[str, Table]) -> Table:
    if step.needs == ("input",):
        return {
            key: row if row.failed else _done(plan, step, dict(row.data), row) for key, row in found["input"].items()
        }
    items = [_items(plan.step(need), found[need]) for need in step.needs]
    keys = [key for key in items[0] if all(key in each for each in items)]
    by_need = dict(zip(step.needs, items, strict=True))
    return {key: _joined(plan, step, {need: each[key] for need, each in by_need.items()}) for key in keys}


def _items(step: Step, table: Table) -> dict[str, tuple[str, Row]]:
    """What those that need a stage see of it, each with the name of the row that it is of."""
    if step.kind != "explode":
        return {key: (f"{step.name}:{key}", row) for key, row in table.items()}
    made: dict[str, tuple[str, Row]] = {}
    for key, row in table.items():
        whole = row.output if row.outcome == "succeeded" else None
        for place, item in enumerate(whole) if whole is not None else [("-", None)]:
            made[f"{key}/{place}"] = (f"{step.name}:{key}", _with(row, output=item))
    return made


def _with(row: Row, **changes: Any) -> Row:
    values = {name: getattr(row, name) for name in Row.__slots__} | changes
    return Row(**values)


def _joined(plan: Plan, step: Step, needs: dict[str, tuple[str, Row]]) -> Row:
    first = next(iter(needs.values()))[1]
    data = _data(plan, step, {need: row for need, (_, row) in needs.items()})
    base = _with(first, data=data)
    if (end := _skipped(list(needs.values()), base)) is not None:
        return end
    if step.continues and not _goes_on(step, data):
        return _done(plan, step, data, base, alone=True)
    return _done(plan, step, data, base)


def _goes_on(step: Step, data: dict[str, Any]) -> bool:
    return data["stages"][step.continues]["output"] is not None


def _data(plan: Plan, step: Step, needs: Mapping[str, Row]) -> dict[str, Any]:
    outputs: dict[str, Any] = {}
    columns: dict[str, Any] = {}
    for need, row in needs.items():
        columns |= row.data
        outputs |= row.data.get("stages", {})
        outputs[need] = {"output": row.output}
    seen = {name: outputs[name] for name in plan.seen(step) if name in outputs}
    return {**columns, "stages": seen}


def _why(name: str, row: Row) -> str:
    return row.why if row.outcome == "skipped" else f"{name} ended as {row.outcome} ({row.kind})"


def _skipped(needs: list[tuple[str, Row]], base: Row) -> Row | None:
    for name, row in needs:
        if row.failed:
            return _with(base, outcome="skipped", kind="upstream_failed", output=None, why=_why(name, row), asked="")
    if any(row.outcome == "succeeded" for _, row in needs):
        return None
    return _with(base, outcome="skipped", kind="left_out", output=None, why=needs[0][1].why, asked="")


def _batches(plan: Plan, step: Step, found: dict[str, Table]) -> Table:
    (need,) = step.needs
    table = found[need]
    groups: dict[str, list[str]] = {}
    for key, row in sorted(table.items(), key=lambda each: (each[1].position, len(each[0]), each[0])):
        if step.by == "all":
            groups.setdefault("all", []).append(key)
        elif row.columns_known:
            groups.setdefault(str(row.data.get("g") if row.data.get("g") is not None else "null"), []).append(key)
    made = {name: _group(plan, step, need, {key: table[key] for key in keys}) for name, keys in groups.items()}
    return {name: row for name, row in made.items() if row is not None}


def _group(plan: Plan, step: Step, need: str, rows: Table) -> Row | None:
    first = next(iter(rows.values()))
    column = {"g": first.data.get("g")} if step.by == "g" else {}
    base = _with(first, data={**column, "stages": {}}, columns_known=True)
    members, bad, out = [], [], []
    for key, row in rows.items():
        if row.outcome == "succeeded":
            seen = _items(plan.step(need), {key: row}) if need != "input" else {key: (key, row)}
            for item, (_, each) in seen.items():
                data = _data(plan, step, {need: each})
                if need == "input":
                    data["stages"] = {}
                members.append({"key": item, **data})
        else:
            (bad if row.failed else out).append((f"{need}:{key}", row))
    if not members and not bad and not out:
        return None
    if bad and (step.failed == "skip" or not members):
        return _skipped(bad, base)
    if not members:
        return _skipped(out, base)
    return _done(plan, step, {**base.data, "rows": members}, base)


def _done(plan: Plan, step: Step, data: dict[str, Any], base: Row, *, alone: bool = False) -> Row:
    kept = {name: value for name, value in data.items() if name != "rows"}
    base = _with(base, data=kept, output=None, why="", asked="", kind=None)
    if step.when is not None and not _holds(plan, step, data):
        return _with(base, outcome="skipped", kind="left_out", why=ANY)
    if step.kind != "request":
        return _transformed(step, data, base)
    if alone:
        return _with(base, outcome="failed", kind="nothing_to_continue")
    asked = _prompt(plan, step, data)
    said: Said = said_to(asked, schema=step.schema)
    return _with(
        base, outcome=said.outcome, kind=None if said.outcome == "succeeded" else ANY, output=said.output, asked=asked
    )


def _holds(plan: Plan, step: Step, data: dict[str, Any]) -> bool:
    if step.by:
        value = len(data["rows"]) if step.by == "all" else len(data.get("g") or "")
    elif seen := plan.seen(step):
        output = data["stages"][seen[-1]]["output"]
        value = output["n"] if isinstance(output, dict) else 0
    else:
        value = data["n"]
    return value % 3 != step.when


def _transformed(step: Step, data: dict[str, Any], base: Row) -> Row:
    try:
        output = work(step.kind, step.salt, data["rows"] if step.by else data)
    except ValueError:
        return _with(base, outcome="failed", kind="transform_failed")
    if output is None:
        return _with(base, outcome="skipped", kind="filtered", why=ANY)
    return _with(base, outcome="succeeded", output=output)


def _prompt(plan: Plan, step: Step, data: dict[str, Any]) -> str:
    n = "n" in plan.columns(step) and step.reads
    seen = plan.seen(step)

    def shown(row: Mapping[str, Any]) -> str:
        return "".join(f" {name}={_text(row['stages'][name]['output'])}" for name in seen)

    head = f"{step.name} {step.salt}:"
    if not step.by:
        return head + (f" {data['n']}" if n else "") + shown(data)
    if step.by == "g":
        head += f" {data.get('g') or '-'}"
    return head + "".join(f" ({row['key']}" + (f" {row['n']}" if n else "") + shown(row) + ")" for row in data["rows"])


def _text(output: Any) -> str:
    if isinstance(output, dict):
        return str(output["n"])
    return "" if output is None else json.loads(json.dumps(output))
