"""The documentation says what the code does: generated parts are current, examples run, tables are complete."""

from __future__ import annotations

import ast
import json
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from batchrun.cli import commands
from batchrun.emulator.ledger import Entry
from batchrun.engine.conversation import PASSING
from batchrun.errors import Exit, SpecError
from batchrun.outputs import citations, results, usage
from batchrun.outputs.summary import Summary
from batchrun.spec.load import load_job
from batchrun.spec.service.ignored import IGNORED
from batchrun.store.records import AttemptState

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("design/*.md"))]
GENERATE = runpy.run_path(str(ROOT / "docs" / "generate.py"))


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    """The fenced code blocks of a page in one language."""
    return fenced(page(name), language)


def fenced(text: str, language: str) -> list[str]:
    """The fenced code blocks of a text in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def batchrun(where: Path, *arguments: str) -> Result:
    """A command as it is written, but that runs do not wait for their first polls."""
    with chdir(where):
        runner = CliRunner(env={"BATCHRUN_RUN_OVERRIDES": "poll.first=0"})
        return runner.invoke(commands, arguments, auto_envvar_prefix="BATCHRUN")


# -- generated parts -------------------------------------------------------------------------------------------------


def test_the_generated_parts_are_what_the_code_says_now() -> None:
    checked = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, f"run make docs\n{checked.stdout}{checked.stderr}"


def test_every_command_has_its_section() -> None:
    names = [name for name, _ in GENERATE["walk"]("batchrun", commands) if name != "batchrun"]
    assert len(names) >= 11
    assert set(names) <= set(re.findall(r"^## (.+)$", page("docs/cli.md"), flags=re.MULTILINE))


def test_every_field_of_the_job_file_has_its_line() -> None:
    documented = page("docs/job-file.md")
    for path, schema in GENERATE["sections"]():
        title = f"### `{path}`" if path else "### The file"
        sections = [part.split("\n### ")[0] for part in documented.split(title)[1:]]  # one for each kind of part
        lines = [f"| `{name}` |" for name in schema["properties"]]
        assert any(all(line in section for line in lines) for section in sections), path


# -- tables that are written by hand ---------------------------------------------------------------------------------


def test_every_exit_code_is_explained() -> None:
    for name in ("README.md", "docs/errors.md"):
        table = page(name).split("## Exit codes", 1)[1].split("\n## ", 1)[0]
        codes = {int(code) for cell in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for code in cell.split(",")}
        assert codes == {int(code) for code in Exit}, name


def own_classes() -> set[str]:
    """Every error class that a row can get from us: the first argument of a RowError, and those that Finish names."""
    found = set()
    for path in (ROOT / "batchrun").rglob("*.py"):
        if "emulator" not in path.parts:
            found |= {kind for call in calls_in(path) if (kind := class_in(call)) is not None}
    return found


def calls_in(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


def class_in(call: ast.Call) -> str | None:
    position = {"RowError": 0, "HeldError": 0, "Problem": 0, "JsonProblem": 0, "Finish": 1}.get(
        getattr(call.func, "id", "")
    )
    values = call.args[position:] if position is not None else []
    return values[0].value if values and isinstance(values[0], ast.Constant) else None


def test_every_error_class_of_ours_is_explained() -> None:
    classes = own_classes()
    assert {"bad_json", "template_error", "media_missing", "timed_out", "schema_mismatch", "ambiguous"} <= classes
    missing = {kind for kind in classes if f"| `{kind}` |" not in page("docs/errors.md")}
    assert not missing
    assert "api_error" in PASSING


def described(section: str) -> dict[str, list[str]]:
    """The tables of a section of outputs.md: the cells behind each name."""
    text = page("docs/outputs.md").split(f"## {section}", 1)[1].split("\n## ", 1)[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line.startswith("| `")
    ]
    return {name: cells for first, *cells in rows for name in re.findall(r"`(\w+)`", first)}


COLUMNS: dict[str, list[Any]] = {
    "results.parquet": list(results.columns(results.Layout.of(None, {}, tuple(results.EXTRAS)), None)),
    "usage.parquet": list(usage.columns()),
    "citations.parquet": list(citations.columns()),
}


@pytest.mark.parametrize("section", COLUMNS)
def test_every_column_is_described_with_its_type(section: str) -> None:
    types = {column.name: re.sub(r"<\w+: (?=s)", "<", str(column.type), count=1) for column in COLUMNS[section]}
    found = {name: cells[0] for name, cells in described(section).items() if name in types}
    assert found == types


def test_every_field_of_the_summary_is_described() -> None:
    assert set(described("run.json")) == {field.name for field in fields(Summary)}


def test_every_state_of_an_attempt_and_every_field_of_the_ledger_is_described() -> None:
    assert all(f"| `{state}` |" in page("docs/money.md") for state in AttemptState)
    assert all(f"`{field.name}`" in page("docs/emulator.md") for field in fields(Entry))


def test_every_dependency_has_its_reason() -> None:
    declared = re.findall(r'^  "([a-z0-9-]+(?:\[\w+\])?)[><=]', page("pyproject.toml"), flags=re.MULTILINE)
    assert len(declared) > 15
    explained = set(
        re.findall(r"`([^`]+)`", "".join(re.findall(r"^\| (`.+?) \|", page("design/dependencies.md"), re.M)))
    )
    assert set(declared) <= explained


def test_the_page_of_refused_settings_lists_what_is_ignored_and_quotes_a_real_message(tmp_path: Path) -> None:
    text = page("docs/refused-settings.md")
    assert set(re.findall(r"\w+", text)) >= IGNORED
    request = {"model": "gemini-3.6-flash", "generation_config": {"temperature": 0}}
    (tmp_path / "job.json").write_text(json.dumps({"name": "a", "input": {"path": "x"}, "request": request}))
    with pytest.raises(SpecError) as caught:
        load_job(tmp_path / "job.json")
    assert str(caught.value).split(": ", 1)[1] in text


def test_the_quickstart_has_the_eleven_sections_and_every_job() -> None:
    text = page("docs/quickstart.md")
    assert [int(number) for number in re.findall(r"^## (\d+)\. ", text, re.MULTILINE)] == list(range(1, 12))
    assert [job.name for job in sorted(ROOT.glob("jobs/*.yaml")) if f"](../jobs/{job.name})" not in text] == []
    assert text.count("*In the API:*") == 11


# -- examples --------------------------------------------------------------------------------------------------------


@pytest.fixture
def newcomer(tmp_path: Path) -> Path:
    """A directory with the files that the README tells to save."""
    job, rows = blocks("README.md", "yaml")[0], blocks("README.md", "json")[0]
    spec = YAML(typ="safe").load(job)
    (tmp_path / f"{spec['name']}.yaml").write_text(job)
    (tmp_path / spec["input"]["path"]).write_text(rows)
    return tmp_path


def test_the_commands_of_the_readme_run_as_written(newcomer: Path) -> None:
    scripts = [block for block in blocks("README.md", "sh") if block.startswith("batchrun ")]
    lines = [line for script in scripts for line in script.splitlines()]
    assert any(line.startswith("batchrun run ") for line in lines)
    for line in lines:
        done = batchrun(newcomer, *line.split()[1:])
        assert done.exit_code == 0, f"{line}\n{done.output}"


def test_the_files_that_the_readme_promises_are_written(newcomer: Path) -> None:
    assert batchrun(newcomer, "run", "tickets.yaml", "--emulator", "--quiet").exit_code == 0
    table = page("README.md").split("## What is written", 1)[1].split("\n## ", 1)[0]
    promised = re.findall(r"^\| `([\w.]+)`", table, flags=re.MULTILINE)
    assert len(promised) == 7
    assert [name for name in promised if not (newcomer / "runs" / "tickets.emulated" / name).is_file()] == []


def complete_jobs() -> Iterator[tuple[str, str]]:
    """Each, after the page that it is in."""
    for path in PAGES:
        name = str(path.relative_to(ROOT))
        yield from ((name, block) for block in blocks(name, "yaml") if block.startswith("name:"))


@pytest.mark.parametrize(("name", "job"), list(complete_jobs()))
def test_every_complete_job_file_in_the_pages_is_valid(tmp_path: Path, name: str, job: str) -> None:
    (tmp_path / "job.yaml").write_text(job)
    (tmp_path / "shop.py").write_text('def price(item: str) -> float:\n    """Looks up a price."""\n    return 1.0\n')
    for module in blocks(name, "python"):
        if named := re.match(r"# (\w+\.py)\n", module):
            (tmp_path / named[1]).write_text(module)
    loaded = load_job(tmp_path / "job.yaml")
    assert (bool(loaded.spec.name), loaded.warnings) == (True, ())


def sections_with_jobs() -> Iterator[Any]:
    """The sections of the job file's page that have a whole job and its rows."""
    for section in re.split(r"^#{2,3} ", page("docs/job-file.md"), flags=re.MULTILINE):
        found = {language: fenced(section, language) for language in ("yaml", "json", "python")}
        if found["json"]:
            yield pytest.param(found, id=section.splitlines()[0])


def test_every_part_of_a_request_has_an_example_that_is_checked() -> None:
    titles = {str(section.id) for section in sections_with_jobs()}
    assert {"Lists, pages and addresses", "Turns", "Functions", "Tools", "Agents", "Pictures and speech"} == titles


@pytest.mark.parametrize("found", list(sections_with_jobs()))
def test_the_examples_of_the_job_file_pass_the_strict_check_with_their_rows(
    tmp_path: Path, found: dict[str, list[str]]
) -> None:
    [job], [rows] = found["yaml"], found["json"]
    for module in found["python"]:
        name = re.match(r"# (\w+\.py)", module)
        assert name
        (tmp_path / name[1]).write_text(module)
    (tmp_path / "job.yaml").write_text(job)
    (tmp_path / YAML(typ="safe").load(job)["input"]["path"]).write_text(rows)
    checked = batchrun(tmp_path, "validate", "job.yaml", "--strict")
    assert (checked.exit_code, checked.stdout.splitlines()[-1:]) == (0, ["No problems found."]), checked.stderr


def test_the_ready_made_requests_of_the_recipes_run(tmp_path: Path) -> None:
    job = next(block for block in blocks("docs/recipes.md", "yaml") if block.startswith("name: ready"))
    (tmp_path / "job.yaml").write_text(job)
    (tmp_path / "ready.jsonl").write_text(blocks("docs/recipes.md", "json")[0])
    done = batchrun(tmp_path, "run", "job.yaml", "--emulator", "--json")
    assert json.loads(done.stdout)["succeeded"] == 2


# -- links -----------------------------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> Iterator[str]:
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        if "://" not in link and not (target.exists() and (not anchor or anchor in anchors(target))):
            yield link


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_relative_link_is_dead(path: Path) -> None:
    assert list(broken_links(path)) == []
