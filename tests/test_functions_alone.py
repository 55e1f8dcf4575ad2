"""Functions of the user's in a real process of batchrun: what they print, fork and end, and what is left of the run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchrun.errors import Exit
from batchrun.store.reader import Reader
from tests.processes import COMMAND, command, emulator, finish, start, write_job
from tests.test_kill import wait_until

EMULATED = ("--emulator", "--latency", "0ms")


def write_functions(where: Path, body: str, kind: str = "def", rows: int = 2, **calling: Any) -> None:
    """A job whose model calls `look(word)` once a row."""
    request = {"model": "gemini-3.5-flash", "input": "Look up {{ word }}", "functions": "own:look"}
    write_job(where, rows, request={**request, "function_calling": calling})
    indented = "\n".join(f"    {line}" for line in body.strip().splitlines())
    head = "import multiprocessing, os, subprocess, sys, time\nfrom pathlib import Path\nHERE = Path(__file__).parent\n"
    (where / "own.py").write_text(f"{head}{kind} look(word: str):\n    'Looks a word up.'\n{indented}\n")


def pids(where: Path) -> list[int]:
    path = where / "children"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


@pytest.fixture(autouse=True)
def no_child_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    for pid in pids(tmp_path):
        os.kill(pid, signal.SIGKILL)


NOTE = "(HERE / 'children').open('a').write(f'{pid}\\n')"
#: What a user's function may leave running, longer than any test: `no_child_is_left` ends it.
FORKS = {
    "fork": f"pid = os.fork()\nif not pid:\n    time.sleep(600)\n    os._exit(0)\n{NOTE}\nreturn pid",
    "program": f"pid = subprocess.Popen(['sleep', '600'], close_fds=False).pid\n{NOTE}\nreturn pid",
}
WORKER = f"""
if (HERE / 'children').exists():
    return 'again'
child = multiprocessing.get_context('fork').Process(target=time.sleep, args=[600])
child.start()
pid = child.pid
{NOTE}
child.join()
"""


def started(where: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """A command whose output goes to files: a child that outlives it would hold up the reader of a pipe."""
    with (where / "out").open("wb") as out, (where / "err").open("wb") as err:
        return subprocess.Popen([*COMMAND, *arguments], cwd=where, stdout=out, stderr=err)


def assert_alive(where: Path, count: int) -> None:
    assert len(pids(where)) == count
    for pid in pids(where):
        os.kill(pid, 0)


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize("how", FORKS)
def test_a_process_that_a_function_started_and_left_does_not_hold_the_run(tmp_path: Path, how: str, kind: str) -> None:
    write_functions(tmp_path, FORKS[how], kind, rows=2)
    assert started(tmp_path, "run", "job.json", *EMULATED).wait(120) == 0
    assert_alive(tmp_path, 2)
    code, out, err = command(tmp_path, "run", "job.json", *EMULATED, "--json")
    assert (code, json.loads(out)["succeeded"]) == (0, 2), err


def test_a_worker_that_outlives_a_killed_run_does_not_hold_it(tmp_path: Path) -> None:
    write_functions(tmp_path, WORKER, rows=1, interrupted="rerun")
    run = started(tmp_path, "run", "job.json", *EMULATED)
    wait_until(lambda: bool(pids(tmp_path)))
    run.kill()
    run.wait(60)
    assert_alive(tmp_path, 1)
    code, out, err = command(tmp_path, "run", "job.json", *EMULATED, "--json")
    assert (code, json.loads(out)["succeeded"]) == (0, 1), err


def test_a_child_that_comes_back_from_a_plain_function_disturbs_nothing(tmp_path: Path) -> None:
    write_functions(tmp_path, "pid = os.fork()\nreturn 'parent' if pid else 'child'", rows=3)
    assert started(tmp_path, "run", "job.json", *EMULATED).wait(120) == 0
    with Reader(tmp_path / "runs/job.emulated/run.db") as reader:
        rows = [row for row in reader.rows() if row.outcome == "succeeded"]
        results = [call.result for row in rows for each in row.earlier for call in reader.tool_calls(each.id)]
    assert results == ["parent"] * 3


def test_a_function_that_ends_the_process_leaves_a_run_that_can_go_on(tmp_path: Path) -> None:
    dies = "with (HERE / 'calls').open('a') as log:\n    log.write('x')\n    if log.tell() == 2:\n        os._exit(9)"
    write_functions(tmp_path, dies, rows=3)
    assert command(tmp_path, "run", "job.json", *EMULATED)[0] == 9
    code, out, _ = command(tmp_path, "run", "job.json", *EMULATED, "--json")
    assert code == Exit.ROWS_HELD
    assert json.loads(out)["errors"]["function_interrupted"] >= 1
    assert command(tmp_path, "retry", "job.json", "--emulator", "--ambiguous")[0] == 0
    code, out, _ = command(tmp_path, "run", "job.json", *EMULATED, "--json")
    assert (code, json.loads(out)["succeeded"]) == (0, 3)


CHATTY = """
print('from print')
sys.stdout.write('from write')
os.write(1, b'from the descriptor')
subprocess.run(['echo', 'from a child'])
return 'done'
"""


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize("what", [("run", "--json"), ("try", "--json"), ("try", "--stream"), ("plan", "--json")])
def test_what_functions_print_goes_to_standard_error(tmp_path: Path, what: tuple[str, str], kind: str) -> None:
    write_functions(tmp_path, CHATTY, kind, rows=2)
    with (tmp_path / "own.py").open("a") as module:
        module.write("print('from the import')\n")
    emulated = ("--emulator",) if what[0] == "plan" else EMULATED
    code, out, err = command(tmp_path, what[0], "job.json", *emulated, what[1])
    assert code == 0, err
    assert "from " not in out
    assert "from the import" in err
    if what[0] != "plan":
        assert all(f"from {how}" in err for how in ("print", "write", "the descriptor", "a child"))
    if what[1] == "--json":
        assert isinstance(json.loads(out), dict)
    else:
        assert out.endswith("look answered: done.\n")


CLOSING = {
    "sys.stdout": "sys.stdout.close()",
    "sys.stderr": "with sys.stderr:\n    pass",
    "descriptors": "for n in (1, 2):\n    try:\n        os.close(n)\n    except OSError:\n        pass",
    "replaced": "sys.stdout = sys.stderr = None",
}


@pytest.mark.parametrize("how", CLOSING)
@pytest.mark.parametrize("what", [("run",), ("try", "--stream")])
def test_what_functions_close_batchrun_still_has(tmp_path: Path, how: str, what: tuple[str, ...]) -> None:
    write_functions(tmp_path, CLOSING[how] + "\nreturn 'done'", rows=2)
    code, out, err = command(tmp_path, what[0], "job.json", *EMULATED, *what[1:])
    assert code == 0, err
    assert ("2 rows: 2 succeeded" if what[0] == "run" else "look answered: ") in out
    assert ("2 of 2 done" if what[0] == "run" else "kept in ") in err


def test_what_functions_print_at_the_exit_is_no_part_of_the_json(tmp_path: Path) -> None:
    write_functions(tmp_path, "import atexit\natexit.register(print, 'from the exit')\nreturn 'done'", rows=1)
    code, out, err = command(tmp_path, "run", "job.json", *EMULATED, "--json")
    assert (code, json.loads(out)["succeeded"]) == (0, 1)
    assert "from the exit" in err


def test_a_reader_that_leaves_ends_nothing_badly(tmp_path: Path) -> None:
    write_functions(tmp_path, CHATTY)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    run = start(tmp_path, "run", "job.json", *EMULATED, env=buffered)
    assert run.stdout is not None
    run.stdout.close()
    with run:
        assert run.stderr is not None
        err = run.stderr.read()
    assert run.returncode == 0
    assert "Traceback" not in err
    assert "BrokenPipe" not in err


def test_calls_share_a_client_that_belongs_to_their_loop(tmp_path: Path) -> None:
    body = "return {'status': (await CLIENT.get(os.environ['THERE'])).status_code, 'one': CLIENT is not None}"
    write_functions(tmp_path, body, "async def", rows=12)
    module = tmp_path / "own.py"
    module.write_text("import httpx\nCLIENT = httpx.AsyncClient()\n" + module.read_text())
    with emulator(tmp_path) as url:
        env = {**os.environ, "THERE": f"{url}/v1beta/models?key=any-key-will-do"}
        code, out, err = finish(start(tmp_path, "run", "job.json", *EMULATED, "--json", env=env))
    assert (code, json.loads(out)["succeeded"]) == (0, 12), err
    with Reader(tmp_path / "runs/job.emulated/run.db") as reader:
        found = [call for row in reader.rows() for each in row.earlier for call in reader.tool_calls(each.id)]
    assert [(call.result, call.is_error) for call in found] == [({"status": 200, "one": True}, False)] * 12
