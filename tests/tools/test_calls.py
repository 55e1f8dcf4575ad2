"""A call always has an answer: the function's, or a short message about what went wrong."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchrun.tools import Toolbox, ToolResult
from tests.tools.conftest import Load
from tests.tools.test_declarations import PARTS
from tests.virtual_time import VirtualTime

KEY = "AIza" + "x" * 35
Call = Callable[..., ToolResult]


@pytest.fixture
def call(load: Load) -> Call:
    """Calls `work`, whose signature and body are given."""

    def call(function: str, arguments: Any = None, **settings: Any) -> ToolResult:
        box = load(PARTS + function, "job_functions:work", **settings)
        return asyncio.run(box.call("work", {} if arguments is None else arguments))

    return call


def returned(call: Call, expression: str) -> ToolResult:
    answer = call(f"def work(): return {expression}\n")
    json.dumps(answer.result, ensure_ascii=False, allow_nan=False).encode()
    return answer


# -- arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "value", "seen"),
    [
        ("str", "x", "'x'"),
        ("int", 5, "5"),
        ("int", 5.0, "5"),
        ("float", 5, "5.0"),
        ("bool", True, "True"),
        ("Unit", "celsius", "<Unit.C: 'celsius'>"),
        ("Floor", 1.0, "<Floor.FIRST: 1>"),
        ("datetime.date", "2026-02-28", "datetime.date(2026, 2, 28)"),
        ("decimal.Decimal", 0.1, "Decimal('0.1')"),
        ("tuple[int, str]", [1, "a"], "(1, 'a')"),
        ("set[int]", [1, 1], "{1}"),
        ("Point", {"lat": 1}, "Point(lat=1.0, lon=0.5)"),
        ("Wish", {"what": "x"}, "{'what': 'x'}"),
        ("Node", {"name": "a", "kids": [{"name": "b"}]}, "name='a' kids="),
        ("Optional[int]", None, "None"),
        ("dict[str, Any]", {"a": [1.5, 2.0]}, "{'a': [1.5, 2]}"),
    ],
)
def test_arguments_arrive_as_the_hints_say(call: Call, hint: str, value: Any, seen: str) -> None:
    answer = call(f"def work(value: {hint}) -> str: return f'{{value}} {{value!r}}'\n", {"value": value})
    assert not answer.is_error
    assert seen in str(answer.result)


@pytest.mark.parametrize(
    ("hint", "value", "message"),
    [
        ("int", "5", "value: Input should be a valid integer"),
        ("int", 5.5, "value: Input should be a valid integer"),
        ("int", True, "value: Input should be a valid integer"),
        ("str", 5, "value: Input should be a valid string"),
        ("int", None, "value: Input should be a valid integer"),
        ("bool", 1, "value: Input should be a valid boolean"),
        ("Unit", "kelvin", "value: Input should be 'celsius' or 'fahrenheit'"),
        ("Point", {"lat": "x"}, "value.lat: Input should be a valid number"),
        ("list[int]", [1, "x"], "value.1: Input should be a valid integer"),
        ("Annotated[int, Field(gt=3)]", 3, "value: Input should be greater than 3"),
        ("str", "\ud800", "value: "),
        ("float", float("nan"), "ValueError: "),
        pytest.param("int", 10**5000, "ValueError: ", id="more digits than Python writes"),
    ],
)
def test_arguments_that_do_not_fit_never_reach_the_function(call: Call, hint: str, value: Any, message: str) -> None:
    answer = call(f"def work(value: {hint}): return 'ran'\n", {"value": value})
    assert answer.is_error
    assert message in str(answer.result)


def test_missing_and_unknown_arguments_are_named(call: Call) -> None:
    answer = call("def work(city: str, days: int): return 'ran'\n", {"citi": "Rome", "days": 2})
    assert answer == ToolResult("'citi' is no parameter; there are: city, days; city: missing", is_error=True)
    assert "'x' is no parameter; there are: none" in str(call("def work(): return 'ran'\n", {"x": 1}).result)


@pytest.mark.parametrize("arguments", ["text", 5, [1], [], True])
def test_arguments_that_are_no_object_are_refused(call: Call, arguments: Any) -> None:
    answer = call("def work(): return 'ran'\n", arguments)
    assert answer == ToolResult("the arguments must be an object", is_error=True)


def test_no_arguments_at_all_are_none(load: Load) -> None:
    assert asyncio.run(load("def work(): return 'ran'\n").call("work", None)) == ToolResult("ran", is_error=False)


def test_what_is_left_out_takes_the_default_of_the_signature(call: Call) -> None:
    code = "def work(a: int, /, b: str = 'b', *, c: Point = Point(1.0)) -> str: return f'{a} {b} {c.lon}'\n"
    assert call(code, {"a": 1}).result == "1 b 0.5"
    assert call(code, {"a": 1, "c": {"lat": 1, "lon": 2}}).result == "1 b 2.0"


def test_parameters_may_be_called_like_methods_of_a_model(call: Call) -> None:
    code = "def work(json: int, copy: int, _private: int, model_config: int) -> int: return json + copy\n"
    assert call(code, {"json": 1, "copy": 2, "_private": 3, "model_config": 4}).result == {"result": 3}


def test_a_validator_that_breaks_is_an_answer(call: Call) -> None:
    code = """
from pydantic import AfterValidator
def boom(value): raise KeyError("boom")
def work(x: Annotated[int, AfterValidator(boom)]): ...
"""
    assert call(code, {"x": 1}) == ToolResult("KeyError: 'boom'", is_error=True)


def test_a_function_that_is_not_there_is_an_answer(load: Load) -> None:
    box = load("def a(): ...\ndef b(): ...\n")
    assert asyncio.run(box.call("c" * 100, {})) == ToolResult(
        f"there is no function '{'c' * 80}'; there are: a, b", is_error=True
    )
    assert asyncio.run(box.call(["c"], {})).is_error  # type: ignore[arg-type]


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "x"]), inner),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(JSON)
def test_any_arguments_have_an_answer(load: Load, arguments: Any) -> None:
    box = load("def work(a: int, b: dict[str, list[float]] | str = '') -> list: return [a, b]\n")
    answer = asyncio.run(box.call("work", arguments))
    json.dumps(answer.result, ensure_ascii=False, allow_nan=False).encode()


# -- results ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("'text'", "text"),
        ("''", ""),
        ("{'a': 1}", {"a": 1}),
        ("{'day': datetime.date(2026, 1, 2), 1: Unit.C}", {"day": "2026-01-02", "1": "celsius"}),
        ("[1, 2]", {"result": [1, 2]}),
        ("[]", {"result": []}),
        ("(1, 2)", {"result": [1, 2]}),
        ("5", {"result": 5}),
        ("None", {"result": None}),
        ("Point(1.0)", {"result": {"lat": 1.0, "lon": 0.5}}),
        ("Node(name='a')", {"result": {"name": "a", "kids": [], "parent": None}}),
        ("datetime.datetime(2026, 1, 2)", {"result": "2026-01-02T00:00:00"}),
        ("decimal.Decimal('1.10')", {"result": "1.10"}),
        ("float('nan')", {"result": None}),
        ("{'x': [float('inf')], 'p': Point(float('nan'))}", {"x": [None], "p": {"lat": None, "lon": 0.5}}),
        (r"'a\ud800'", "a\ufffd"),
        (r"['\ud83d\ude00']", {"result": ["\U0001f600"]}),
        (r"Point(lat='\ud800')", {"result": {"lat": "\ufffd", "lon": 0.5}}),
        ("[{'type': 'text', 'text': 'a'}]", [{"type": "text", "text": "a"}]),
        ("[{'type': 'text', 'words': 'a'}]", {"result": [{"type": "text", "words": "a"}]}),
        ("[{'type': 'image', 'data': 'aGk=', 'mime_type': 'image/png'}]",
         [{"type": "image", "data": "aGk=", "mime_type": "image/png"}]),
        ("[{'type': 'image', 'data': 'aGk='}]", {"result": [{"type": "image", "data": "aGk="}]}),
        ("{'$ref': '#/a'}", '{"$ref": "#/a"}'),
        ("[{'deep': {'$ref': 1}}]", '{"result": [{"deep": {"$ref": 1}}]}'),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_what_is_returned_becomes_a_result(call: Call, expression: str, result: Any) -> None:
    assert returned(call, expression) == ToolResult(result, is_error=False)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("object()", "TypeError: the result has no JSON form: Unable to serialize unknown type: <class 'object'>"),
        ("b'\\xff'", "TypeError: the result has no JSON form"),
        ("(i for i in range(3))", "TypeError: the result is a generator, which has no JSON form; return a list"),
        ("iter(int, 1)", "TypeError: the result is a callable_iterator"),
        ("10 ** 5000", "ValueError: "),
        ("{'\\ud800': 1}", "has no JSON form"),
        ("functools.reduce(lambda inner, _: [inner], range(150), 0)", "nested more than 100 levels deep"),
        ("functools.reduce(lambda inner, _: [inner], range(5000), 0)", "has no JSON form"),
        ("'x' * 1_000_001", "the result is larger than 1,000,000 bytes of JSON; return less of it"),
        ("['é' * 400_000, 'é' * 400_000]", "the result is larger than 1,000,000 bytes"),
        ("(lambda l: l.append(l) or l)([])", "has no JSON form"),
    ],
)
def test_what_json_cannot_hold_is_an_error(call: Call, expression: str, message: str) -> None:
    answer = returned(call, expression)
    assert answer.is_error
    assert message in str(answer.result)


def test_a_result_just_below_the_cap_is_kept(call: Call) -> None:
    assert returned(call, "'x' * 999_998").is_error is False


# -- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize(
    ("raised", "message"),
    [
        ("ValueError('no such city')", "ValueError: no such city"),
        ("KeyError", "KeyError"),
        ("SystemExit(3)", "SystemExit: 3"),
        ("StopIteration(3)", None),
        ("TimeoutError('theirs')", "TimeoutError: theirs"),
        ("__import__('asyncio').CancelledError()", "CancelledError"),
        ("GeneratorExit", "GeneratorExit"),
        ("KeyboardInterrupt", "KeyboardInterrupt"),
        ("Broken()", "Broken"),
        (r"ValueError('\ud800')", "ValueError: \ufffd"),
    ],
)
def test_an_exception_is_told_by_type_and_message(call: Call, kind: str, raised: str, message: str | None) -> None:
    broken = "class Broken(Exception):\n    def __str__(self): raise KeyError\n"
    answer = call(f"{broken}{kind} work(): raise {raised}\n")
    assert answer.is_error
    assert message is None or answer.result == message
    assert "Traceback" not in str(answer.result)


def test_messages_are_cut(call: Call) -> None:
    answer = call("def work(): raise ValueError('x' * 10_000)\n")
    assert len(str(answer.result)) == 2000
    assert str(answer.result).endswith("x…")


def test_secrets_of_the_environment_reach_no_model(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "a-key-of-ours")
    monkeypatch.setenv("DB_PASSWORD", "hunter2hunter2")
    monkeypatch.setenv("KEYBOARD", "qwertyuiop")
    code = "import os\ndef work(): raise ValueError(f'{dict(os.environ)}')\n"
    told = str(call(code).result) + str(call(code.replace("raise ValueError", "return ")).result)
    assert "GEMINI_API_KEY" in told
    assert "a-key-of-ours" not in told
    assert "hunter2" not in told
    assert returned(call, f"{{'url': 'https://x/?key={KEY}', '{KEY}': [1]}}").result == {
        "url": "https://x/?key=AIza…",
        "AIza…": [1],
    }
    assert returned(call, "'qwertyuiop'").result == "qwertyuiop"


# -- running ---------------------------------------------------------------------------------------------------------


def test_async_functions_share_one_thread_and_plain_ones_have_one_each(load: Load) -> None:
    code = """
import asyncio, threading
def _name() -> str:
    return threading.current_thread().name
def plain() -> str:
    return _name()
async def waits() -> str:
    await asyncio.sleep(0)
    return _name()
def returns_coroutine():
    return waits()
class Calls:
    async def __call__(self) -> str:
        return await waits()
called = Calls()
"""
    box = load(code, "job_functions", "job_functions:called")
    names = ["plain", "waits", "returns_coroutine", "called"]
    answers = [asyncio.run(box.call(name, {})).result for name in names]
    assert answers == ["tool", "tools", "tools", "tools"]


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_context_variables_reach_a_function(load: Load, kind: str) -> None:
    code = f"import contextvars\nrow = contextvars.ContextVar('row')\n{kind} work() -> str: return row.get()\n"
    box = load(code)

    async def main() -> ToolResult:
        import job_functions  # type: ignore[import-not-found]

        job_functions.row.set("r1")
        return await box.call("work", {})

    assert asyncio.run(main()).result == "r1"


def test_calls_run_side_by_side_however_many(load: Load) -> None:
    code = "import threading\nbarrier = threading.Barrier(50)\ndef work() -> int: return barrier.wait(20) >= 0\n"
    box = load(code)

    async def main() -> list[ToolResult]:
        return await asyncio.gather(*(box.call("work", {}) for _ in range(50)))

    assert asyncio.run(main()) == [ToolResult({"result": True}, is_error=False)] * 50


def test_an_async_function_is_cancelled_after_its_time(load: Load) -> None:
    code = """
import asyncio, threading
ended = threading.Event()
async def work():
    try:
        await asyncio.Event().wait()
    finally:
        ended.set()
"""
    box = load(code, timeout=0.05)
    late = ToolResult("TimeoutError: no result after 0.05 s", is_error=True)
    assert asyncio.run(box.call("work", {})) == late
    import job_functions

    assert job_functions.ended.wait(20)


def test_a_plain_function_is_given_up_after_its_time_and_holds_up_nothing(load: Load) -> None:
    code = """
import threading
gate, left = threading.Event(), threading.Event()
def work():
    gate.wait(60)
    left.set()
"""
    box = load(code, "job_functions:work", timeout=0.05)
    assert asyncio.run(box.call("work", {})) == ToolResult("TimeoutError: no result after 0.05 s", is_error=True)
    [thread] = [thread for thread in threading.enumerate() if thread.name == "tool"]
    assert thread.daemon
    import job_functions

    job_functions.gate.set()
    assert job_functions.left.wait(20)
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.parametrize("kind", ["async", "plain"])
def test_cancellation_of_the_caller_passes(load: Load, kind: str) -> None:
    code = """
import asyncio, threading
gate = threading.Event()
async def work_async(): await asyncio.Event().wait()
def work_plain(): gate.wait(60)
def _release(): gate.set()
"""
    box = load(code)

    async def main() -> None:
        task = asyncio.create_task(box.call(f"work_{kind}", {}))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    import job_functions

    job_functions.gate.set()


def test_a_plain_function_works_in_virtual_time(load: Load) -> None:
    box: Toolbox = load("def work(x: int) -> int: return x + 1\n")
    assert VirtualTime().run(box.call("work", {"x": 1})).result == {"result": 2}
