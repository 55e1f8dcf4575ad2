"""Imports point one way, there are no cycles, and pure modules stay pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "batchrun"

#: What each part may import, besides itself. A part is a folder, or a file at the top of the package.
ALLOWED = {
    "errors": set(),
    "rows": set(),
    "version": set(),
    "clock": set(),
    "plurals": set(),
    "glyphs": set(),
    "disk": set(),
    "environment": set(),
    "emulator": {"errors"},
    "spec": {"errors", "rows"},
    "interactions": {"errors", "rows"},
    "prices": {"errors", "interactions"},
    "store": {"errors", "rows", "disk", "spec", "interactions"},
    "inputs": {"errors", "rows", "spec"},
    "outputs": {"errors", "rows", "disk", "version", "spec", "interactions", "store"},
    "tools": {"errors", "rows", "environment", "spec"},
    "webhooks": {"errors", "interactions"},
    "alerts": {"errors", "plurals", "environment", "spec", "webhooks"},
    "engine": {"errors", "rows", "plurals", "spec", "interactions", "store", "inputs", "outputs", "tools"},
    "runs": {
        "errors", "rows", "plurals", "disk", "version", "clock", "environment", "spec", "interactions", "prices",
        "store", "inputs", "outputs", "tools", "engine", "emulator", "webhooks", "alerts", "schedule",
    },
    "reports": {
        "errors", "rows", "plurals", "glyphs", "spec", "interactions", "store", "inputs", "engine", "runs",
    },
    "views": {"errors", "rows", "plurals", "interactions", "store", "engine", "runs"},
    "schedule": {"errors", "rows", "spec"},
    "telemetry": {"errors", "rows", "glyphs", "version", "interactions", "store", "outputs", "engine"},
    "daemon": {"errors", "plurals", "spec", "store", "schedule", "engine", "runs"},
    "aftercare": {
        "errors", "rows", "disk", "plurals", "clock", "spec", "interactions", "prices", "store", "inputs", "outputs",
        "engine", "runs", "emulator",
    },
}  # fmt: skip
COMPOSITION = {"cli", "__init__", "__main__"}
PURE = (
    "spec/rendering/templates.py", "spec/rendering/sandbox.py", "spec/rendering/work.py",
    "spec/judging/schemas.py", "spec/requests.py", "interactions/evidence.py", "interactions/models.py",
    "interactions/sse.py", "interactions/pieces.py", "interactions/streamed_step.py", "interactions/assembly.py",
    "spec/service/refused.py", "spec/service/targets.py", "spec/service/shapes.py", "spec/service/choices.py",
    "spec/service/fitness.py", "spec/service/kinds.py", "spec/idle.py",
    "engine/limits.py", "engine/conversation.py", "engine/polling.py", "engine/latency.py", "engine/retry.py",
    "spec/functions/schemas.py", "spec/functions/docstrings.py", "prices/bill.py", "runs/differences.py",
    "spec/flow.py", "spec/graph.py", "schedule/slots.py", "schedule/verdicts.py", "schedule/emit/ticking.py",
    "schedule/emit/crontab.py",
    "schedule/emit/systemd.py", "schedule/emit/kubernetes.py", "telemetry/records.py",
    "interactions/turns.py", "interactions/usage.py", "outputs/answers.py", "outputs/fitting.py", "outputs/shapes.py",
    "outputs/counts.py", "outputs/citations.py", "outputs/file_types.py", "outputs/history.py", "outputs/steps.py",
    "webhooks/message.py", "webhooks/standard.py", "alerts/rules.py", "alerts/memory.py",
    "aftercare/paths.py", "aftercare/listing.py", "interactions/addresses.py", "glyphs.py",
    "reports/drawing/diagram.py", "reports/drawing/lanes.py", "reports/drawing/layers.py", "reports/drawing/text.py",
    "reports/drawing/mermaid.py", "reports/drawing/svg.py", "views/view.py", "views/estimate.py", "views/history.py",
    "views/troubles.py", "cli/picture.py", "cli/wording.py", "cli/region.py",
)  # fmt: skip
IMPURE = {"asyncio", "httpx", "aiohttp", "os", "pathlib", "sqlite3", "time", "socket", "subprocess"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Every module that `path` imports, wherever in the file; `from a import b` counts as a.b where that is a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            base = node.module or ""
            for alias in node.names:
                below = ROOT / f"{base}.{alias.name}".replace(".", "/")
                is_module = below.with_suffix(".py").exists() or below.is_dir()
                yield f"{base}.{alias.name}" if is_module else base


def part_of(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def test_every_part_imports_only_what_is_below_it() -> None:
    wrong = [
        f"{name_of(path)} imports {module}"
        for path in modules()
        if (part := part_of(name_of(path))) not in COMPOSITION
        for module in imports(path)
        if module.startswith("batchrun") and part_of(module) not in ALLOWED[part] | {part}
    ]
    assert wrong == []


def test_there_is_no_import_cycle() -> None:
    known = {name_of(path) for path in modules()}
    graph = {name_of(path): {m for m in imports(path) if m in known and m != name_of(path)} for path in modules()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(known)


@pytest.mark.parametrize("path", PURE)
def test_a_pure_module_imports_nothing_that_acts(path: str) -> None:
    assert {module.split(".")[0] for module in imports(PACKAGE / path)} & IMPURE == set()


def test_only_the_client_its_transports_webhooks_and_alerts_import_the_http_libraries() -> None:
    client_side = [path for path in modules() if part_of(name_of(path)) != "emulator"]
    users = {name_of(p) for p in client_side if {"httpx", "aiohttp"} & {m.split(".")[0] for m in imports(p)}}
    calling = {f"batchrun.interactions.{name}" for name in ("client", "saving", "transport", "in_process", "fetching")}
    assert users == {*calling, "batchrun.webhooks.listener", "batchrun.alerts.targets"}


def test_the_design_shows_each_part_once() -> None:
    shown = [line.split()[0] for line in (ROOT / "design/architecture.md").read_text().splitlines() if line[:2] == "  "]
    folders = [f"{path.name}/" for path in PACKAGE.iterdir() if (path / "__init__.py").exists()]
    assert [folder for folder in folders if shown.count(folder) != 1] == []
