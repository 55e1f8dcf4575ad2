"""Functions are found by the references of a job file, beside that file first."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from batchrun.errors import SpecError
from batchrun.spec.functions import load_functions
from batchrun.tools import Toolbox
from tests.tools.conftest import Load


def names(box: Toolbox) -> list[str]:
    return [tool["name"] for tool in box.declarations]


def answer(box: Toolbox, name: str) -> object:
    return asyncio.run(box.call(name, {})).result


def refusal(load: Load, code: str, *references: str) -> str:
    with pytest.raises(SpecError) as caught:
        load(code, *references)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_functions_are_named_one_by_one(load: Load) -> None:
    box = load("def a(): ...\ndef b(): ...\ndef _c(): ...\n", "job_functions:b", "job_functions:_c")
    assert names(box) == ["b", "_c"]
    assert "b" in box
    assert "a" not in box
    assert 5 not in box


def test_a_module_offers_the_public_functions_that_it_defines(load: Load) -> None:
    code = "from os.path import join\nfrom typing import NewType\nKey = NewType('Key', int)\nclass C: ...\nCOUNT = 1\n"
    assert names(load(code + "def a(): ...\ndef _b(): ...\nasync def c(): ...\n")) == ["a", "c"]


def test_a_module_may_list_its_functions(load: Load, tmp_path: Path) -> None:
    (tmp_path / "more_functions.py").write_text("def there(): ...\n")
    code = "from more_functions import there\n__all__ = ['there', '_b', 'C', 'nowhere']\nclass C: ...\n"
    assert sorted(names(load(code + "def a(): ...\ndef _b(): ...\n"))) == ["_b", "there"]


def test_a_package_beside_the_job_has_modules_too(load: Load, tmp_path: Path) -> None:
    (tmp_path / "kit").mkdir()
    (tmp_path / "kit" / "__init__.py").touch()
    (tmp_path / "kit" / "math.py").write_text("def add(a: int, b: int) -> int: ...\n")
    assert names(load("", "kit.math:add")) == ["add"]


def test_an_installed_module_can_be_named(load: Load) -> None:
    message = refusal(load, "", "json:dumps")
    assert message.startswith("json:dumps: parameter 'obj' has no type hint")


def test_functions_of_one_module_share_its_state(load: Load) -> None:
    box = load(
        "seen = []\ndef put() -> None: seen.append(1)\ndef count() -> int: return len(seen)\n",
        "job_functions:put",
        "job_functions:count",
    )
    answer(box, "put")
    assert answer(box, "count") == {"result": 1}


def test_a_module_beside_the_job_comes_before_an_installed_one_and_does_not_replace_it(load: Load) -> None:
    box = load("def a() -> str:\n    return 'mine'\n", "json", name="json")
    assert answer(box, "a") == "mine"
    assert sys.modules["json"] is json


def test_a_module_is_read_again_each_time(load: Load) -> None:
    load("def a(): ...\n")
    assert names(load("def changed(): ...\n")) == ["changed"]


def test_functions_may_import_and_find_their_own_module_when_they_are_called(load: Load, tmp_path: Path) -> None:
    (tmp_path / "late_module.py").write_text("VALUE = 'late'\n")
    code = """
import pickle
class Thing: ...
def late() -> str:
    import late_module
    return late_module.VALUE
def pickled() -> bool:
    return isinstance(pickle.loads(pickle.dumps(Thing())), Thing)
"""
    load(code)
    box = load(code)
    assert answer(box, "late") == "late"
    assert answer(box, "pickled") == {"result": True}
    assert sys.path[0] != str(tmp_path)


def test_nothing_is_written_beside_the_job(load: Load, tmp_path: Path) -> None:
    load("def a(): ...\n")
    assert [path.name for path in tmp_path.iterdir()] == ["job_functions.py"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def\n", "module 'job_functions' cannot be imported: SyntaxError: invalid syntax (job_functions.py, line 1)"),
        (
            "\nimport nowhere_at_all\n",
            "module 'job_functions' cannot be imported: ModuleNotFoundError: No module named 'nowhere_at_all' "
            "(job_functions.py, line 2)",
        ),
        ("import json\njson.loads('x')\n", " (job_functions.py, line 2)"),
        (
            "raise SystemExit(3)\n",
            "module 'job_functions' cannot be imported: SystemExit: 3 (job_functions.py, line 1)",
        ),
        ("def _hidden(): ...\n", "module 'job_functions' defines no public function"),
    ],
)
def test_a_module_that_cannot_be_used_is_explained_with_its_line(load: Load, code: str, message: str) -> None:
    assert message in refusal(load, code)


def test_a_module_that_is_nowhere_tells_where_it_was_looked_for(load: Load, tmp_path: Path) -> None:
    message = refusal(load, "", "nowhere_at_all:f")
    assert "No module named 'nowhere_at_all'" in message
    assert f"looked in {tmp_path} first" in message


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("job_functions:nope", "module 'job_functions' has no function 'nope'"),
        ("job_functions:C", "job_functions:C is no function but a class"),
        ("job_functions:N", "job_functions:N is no function but of type int"),
        ("job_functions.py", "'job_functions.py' names no function: write module:function"),
        ("job_functions.py:a", "names no function"),
        ("functions/job_functions:a", "names no function"),
        ("job_functions:a.b", "names no function"),
        ("job_functions:", "names no function"),
        ("", "names no function"),
    ],
)
def test_a_reference_that_means_no_function_is_refused(load: Load, reference: str, message: str) -> None:
    assert message in refusal(load, "def a(): ...\nclass C: ...\nN = 1\n", reference)


def test_two_functions_of_one_name_are_refused(load: Load, tmp_path: Path) -> None:
    (tmp_path / "more_functions.py").write_text("def a(): ...\n")
    for references in (["job_functions", "job_functions:a"], ["job_functions", "more_functions"]):
        assert "two functions are called 'a'" in refusal(load, "def a(): ...\n", *references)


def test_no_references_make_an_empty_toolbox(tmp_path: Path) -> None:
    assert load_functions([], tmp_path) == ()
