"""A job file is read whole or refused with every mistake at its file, line and key."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchrun.errors import SpecError
from batchrun.spec.fields import parse_duration
from batchrun.spec.load import Job, load_job
from batchrun.spec.model import JobSpec

JOB = """\
name: demo
input:
  path: rows.jsonl
request:
  model: m
  input: Hi {{ name }}
"""
KEY = "AIza" + "x" * 35

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: str | bytes, name: str = "job.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        load_job(path, overrides)
    return str(caught.value).replace(str(path.parent) + os.sep, "")


def test_a_job_file_becomes_a_job(write: Write) -> None:
    path = write(JOB)
    job = load_job(path)
    assert isinstance(job, Job)
    assert (job.spec.name, job.path, job.base, job.schema) == ("demo", path, path.parent, None)
    assert job.request.render({"name": "Ada"}).body == {"model": "m", "input": "Hi Ada"}


def test_the_three_formats_mean_the_same(write: Write) -> None:
    data = {"name": "demo", "input": {"path": "rows.jsonl"}, "request": {"model": "m", "input": "Hi {{ name }}"}}
    toml = 'name = "demo"\n[input]\npath = "rows.jsonl"\n[request]\nmodel = "m"\ninput = "Hi {{ name }}"\n'
    specs = [load_job(write(JOB)), load_job(write(json.dumps(data), "job.json")), load_job(write(toml, "job.toml"))]
    assert specs[0].spec == specs[1].spec == specs[2].spec
    assert len({job.request.fingerprint for job in specs}) == 1


def test_a_relative_path_has_an_absolute_base(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write(JOB).parent)
    assert load_job(Path("job.yaml")).base.is_absolute()


def test_a_byte_order_mark_and_windows_line_ends_are_fine(write: Write) -> None:
    assert load_job(write(b"\xef\xbb\xbf" + JOB.replace("\n", "\r\n").encode())).spec.name == "demo"


def test_every_mistake_is_listed_with_file_line_and_key(write: Write) -> None:
    message = refusal(
        write("""\
name: a b
inptu: {}
input:
  path: 5
request:
  modle: m
  input:
    - type: text
      txt: hello
    - type: film
    - 7
limits: {rpm: "60", in_flight: 0}
poll:
  first: soon
output: x
""")
    )
    lines = message.splitlines()
    assert "job.yaml:2: inptu: unknown key; did you mean `input`?" in lines
    assert "job.yaml:4: input.path: text is expected (put it in quotes), not 5" in lines
    assert "job.yaml:6: request.modle: unknown key; did you mean `model`?" in lines
    assert "job.yaml:8: request.input[0].text: this key is missing; add it" in lines
    assert "job.yaml:9: request.input[0].txt: unknown key; did you mean `text`?" in lines
    types = "'text', 'document', 'image', 'audio', 'video'"
    assert f"job.yaml:10: request.input[1]: `type` must be one of {types}, not 'film'; did you mean video?" in lines
    assert "job.yaml:11: request.input[2]: a mapping is expected, not 7" in lines
    assert "job.yaml:12: limits.rpm: a number is expected, not '60'" in lines
    assert "job.yaml:15: output: a mapping is expected, not 'x'" in lines
    assert any(line.startswith("job.yaml:14: poll.first: 'soon' is no duration") for line in lines)
    assert any(line.startswith("job.yaml:1: name: at most 63 of a-z, A-Z, 0-9,") for line in lines)
    assert len(lines) == 12


def test_an_unknown_key_far_from_all_others_lists_them(write: Write) -> None:
    assert refusal(write(JOB + "limits: {zzz: 1}\n")).endswith(
        "unknown key; known here: in_flight, max_cost, posts, prices, rpm, tpm"
    )


@pytest.mark.parametrize(("size", "count"), [("2kB", 2_000), ("2KB", 2_000), ("1.5 MB", 1_500_000), (7, 7)])
def test_a_size_is_a_number_of_bytes_or_has_a_unit(write: Write, size: object, count: int) -> None:
    assert (
        load_job(
            write(JOB.replace("  input: Hi {{ name }}\n", f"  input: hi\n  inline_limit: {size}\n"))
        ).spec.request.inline_limit
        == count
    )


def test_a_missing_section_is_named(write: Write) -> None:
    assert refusal(write("name: demo\n")) == "job.yaml:1: input: this key is missing; add it"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("  agent: a\n", "job.yaml:4: request: give `model` or `agent`, not both"),
        ("  store: 0\n", "job.yaml:7: request.store: true or false is expected, not 0"),
        ("  turns: [a]\n", "job.yaml:4: request: give `input` or `turns`, not both"),
        ("  inline_limit: 8 tons\n", "job.yaml:7: request.inline_limit: '8 tons' is no size"),
        ("  labels: {a: 1}\n", "job.yaml:7: request.labels.a: text is expected (put it in quotes), not 1"),
        ("  environment: 5\n", "job.yaml:7: request.environment: text is expected (put it in quotes), not 5"),
        ("  model: n\n", "job.yaml:7: request.model: this key is already given in line 5; keep one of them"),
        (
            "  generation_config: {a: .inf}\n",
            "job.yaml:7: request.generation_config.a: .inf is not a number JSON can hold",
        ),
        ("  generation_config: {a: !!set {}}\n", "job.yaml:7: request.generation_config.a: the tag"),
        ("  <<: {a: b}\n", "job.yaml:7: request: merge keys (<<) are not YAML 1.2; repeat the keys"),
        ("  tools: [\n", "job.yaml:8: not YAML: while parsing a flow"),
        ("  system_instruction: |\n    {{ x\n", "job.yaml:7: request.system_instruction: unexpected end of template"),
        ("  response_format: {schema: {type: objekt}}\n", "job.yaml:7: request.response_format.schema: not a usable"),
        ("  response_format: {schema: nowhere.json}\n", "job.yaml:7: request.response_format.schema: "),
        ("  response_format: {schema: nowhere}\n", "job.yaml:7: request.response_format.schema: "),
        ("  response_format: {schema: 5}\n", "job.yaml:7: request.response_format.schema: text is expected"),
    ],
)
def test_a_mistake_in_the_request_is_at_its_line(write: Write, extra: str, message: str) -> None:
    assert message in refusal(write(JOB.replace("  input: Hi {{ name }}\n", "  input: hi\n") + extra))


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ("[]", "job.yaml:6: request.turns: "),
        ("[{inptu: a}]", "job.yaml:6: request.turns[0].input: this key is missing; add it"),
        ("['{{ a']", "job.yaml:6: request.turns[0]: unexpected end of template"),
        ("[a, {input: b, system_instruction: '{{'}]", "job.yaml:6: request.turns[1].system_instruction: "),
        ("[a, [{type: image, path: '{{ a'}]]", "job.yaml:6: request.turns[1][0].path: unexpected end of template"),
        (
            "[a, {input: b, response_format: {schema: {type: 7}}}]",
            "job.yaml:6: request.turns[1].response_format.schema: not a usable",
        ),
        ("[a, '{{ answers[0] }}', '{{ answers[2] }}']", "job.yaml:6: request.turns[2]: `answers[2]` is not there yet"),
        ("[[{type: image, path: a, uri: b}]]", "job.yaml:6: request.turns[0][0]: give `path` or `uri`, one of them"),
        ("[[{type: image, path: a, pages: '1'}]]", "`pages` is for documents without `processing`"),
        ("[[{type: image, path: a, channels: 1}]]", "`sample_rate` and `channels` are for audio"),
    ],
)
def test_a_mistake_in_a_turn_is_at_its_line(write: Write, turns: str, message: str) -> None:
    assert message in refusal(write(JOB.replace("  input: Hi {{ name }}\n", f"  turns: {turns}\n")))


def test_template_and_schema_mistakes_are_listed_together(write: Write) -> None:
    text = JOB.replace("Hi {{ name }}", "'{{ '") + "  response_format: {schema: {type: objekt}}\n"
    text = text.replace("path: rows.jsonl", "path: rows.jsonl\n  where: a =")
    assert [line.split(": ")[1] for line in refusal(write(text)).splitlines()] == [
        "input.where",
        "request.input",
        "request.response_format.schema",
    ]


def test_yaml_is_1_2_and_knows_no_dates(write: Write) -> None:
    job = load_job(
        write(JOB + "  labels: {a: no, b: 2026-01-02}\n  generation_config: {seed: 0o17, stop_sequences: [1:30]}\n")
    )
    assert job.spec.request.labels == {"a": "no", "b": "2026-01-02"}
    assert job.spec.request.generation_config == {"seed": 15, "stop_sequences": ["1:30"]}


def test_an_anchor_may_be_used_again(write: Write) -> None:
    job = load_job(write(JOB + "  labels: &l {a: b}\n  webhook_config: {user_metadata: {x: *l, y: *l}}\n"))
    assert job.spec.request.webhook_config == {"user_metadata": {"x": {"a": "b"}, "y": {"a": "b"}}}


def test_a_billion_laughs_are_refused(write: Write) -> None:
    laughs = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
    assert "aliases expanded" in refusal(write(laughs))


def test_an_alias_of_itself_is_refused(write: Write) -> None:
    assert "nested more than 100 levels" in refusal(write("a: &a [*a]\n"))


@pytest.mark.parametrize("name", ["job.yaml", "job.json"])
def test_deep_nesting_is_refused(write: Write, name: str) -> None:
    assert "nested" in refusal(write("[" * 50_000, name))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("job.yaml", b"name: \xff\n", "job.yaml:1: byte 6 is not UTF-8; save the file as UTF-8"),
        ("job.yaml", b"# " + b"x" * 1024 * 1024, "job.yaml: larger than 1,048,576 bytes"),
        ("job.yaml", b"", "job.yaml: a job file is a mapping"),
        ("job.yaml", b"- a\n", "job.yaml: a job file is a mapping"),
        ("job.yaml", b"a: 1\n---\nb: 2\n", "job.yaml:2: not YAML: expected a single document"),
        ("job.yaml", b"a: \x01\n", "job.yaml: not YAML: unacceptable character"),
        ("job.yaml", b"a: *b\n", "job.yaml:1: not YAML: found undefined alias"),
        ("job.toml", b"a = 1\na = 2\n", "job.toml:2: not TOML: "),
        ("job.toml", b"name = \n", "job.toml:1: not TOML: "),
        ("job.toml", b"a = 1\n" + b"b." * 500_000 + b"c = 1\n", "job.toml:2: more than 1,000 dots in one line; break"),
        ("job.json", b'{"name": "a",\n "name": "b"}', "job.json:2: name: this key is already given in line 1"),
        ("job.json", b'{"name": NaN}', "job.json: NaN is not JSON"),
        ("job.json", b'{\n"name": \n}', "job.json:3: not JSON: Expecting value"),
        ("job.txt", b"name: a", "job.txt: a file in one of the formats .yaml, .yml, .toml, .json is expected"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(write: Write, name: str, content: bytes, message: str) -> None:
    assert message in refusal(write(content, name))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "folder.yaml").mkdir()
    assert "not a regular file" in refusal(tmp_path / "fifo.yaml")
    assert "folder.yaml: a directory; name the job" in refusal(tmp_path / "folder.yaml")
    assert refusal(tmp_path / "none.yaml") == "none.yaml: cannot be read: No such file or directory"
    assert refusal(tmp_path / "runs") == "runs: cannot be read: No such file or directory"


def test_toml_mistakes_have_lines_too(write: Write) -> None:
    text = 'name = "a"\n[input]\npath = """\nmodle = 1\n"""\n[request]\nmodle = "m"\n[[request.tools]]\n'
    message = refusal(
        write(text + '[[request.input]]\ntype = "text"\n[[request.input]]\ntype = "text"\ntxt = 1\n', "job.toml")
    )
    assert "job.toml:7: request.modle: unknown key" in message
    assert "job.toml:9: request.input[0].text: this key is missing" in message
    assert "job.toml:13: request.input[1].txt: unknown key" in message


def test_toml_dates_become_text(write: Write) -> None:
    text = 'name = "a"\ninput = {path = "x"}\n[request.labels]\nday = 2026-01-02\n'
    assert load_job(write(text, "job.toml")).spec.request.labels == {"day": "2026-01-02"}


@pytest.mark.parametrize(
    "extra",
    [
        "api_key: hunter2secret\n",
        "request: {key: hunter2secret}\n",
        "request: {tools: [{headers: {x-goog-api-key: hunter2secret}}]}\n",
        "request: {generation_config: {GEMINI_API_KEY: hunter2secret}}\n",
        f"request: {{input: 'the key is {KEY}'}}\n",
        f"{KEY}: 1\n",
    ],
)
def test_an_api_key_in_the_job_is_refused_and_not_repeated(write: Write, extra: str) -> None:
    message = refusal(write("name: demo\ninput: {path: x}\n" + extra))
    assert "GEMINI_API_KEY in the environment" in message
    assert "job.yaml:3: " in message
    assert KEY not in message
    assert "hunter2secret" not in message


def test_an_api_key_in_a_broken_file_or_override_is_not_repeated(write: Write) -> None:
    assert KEY not in refusal(write(f"name: a\n{KEY}: 1\n{KEY}: 2\n"))
    assert KEY not in refusal(write(JOB), f"request.model={KEY}")
    assert KEY not in refusal(write(JOB), f"request.{KEY}=1")


def test_a_schema_may_ask_for_a_field_named_api_key(write: Write) -> None:
    schema = "  response_format: {schema: {type: object, properties: {api_key: {type: string}}}}\n"
    assert load_job(write(JOB + schema)).schema


def test_overrides_replace_what_the_file_says(write: Write) -> None:
    path = write(JOB + "  labels: {a: b}\n")
    overrides = ["limits.rpm=60", "request.model=x", "request.labels={c: d}", "input.key=id", "request.input=a=b"]
    spec = load_job(path, overrides).spec
    assert (spec.limits.rpm, spec.request.model, spec.request.labels) == (60, "x", {"c": "d"})
    assert (spec.input.key, spec.request.input) == ("id", "a=b")


def test_an_override_fills_a_section_that_is_empty_or_absent(write: Write) -> None:
    assert load_job(write(JOB + "limits:\n"), ["limits.rpm=60"]).spec.limits.rpm == 60
    assert load_job(write(JOB), ["retry.ambiguous.model=hold"]).spec.retry.ambiguous.model == "hold"


def test_an_override_reaches_into_lists(write: Write) -> None:
    path = write(JOB.replace("Hi {{ name }}", "[{type: text, text: a}]"))
    assert load_job(path, ["request.input.0.text=b"]).request.render({}).body["input"] == [
        {"type": "text", "text": "b"}
    ]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("limits.rpn=60", "--set limits.rpn: unknown key; did you mean `rpm`?"),
        ("limits.rpm=x", "--set limits.rpm: a number is expected, not 'x'"),
        ("limits={rpm: x}", "--set limits: a number is expected, not 'x'"),
        ("request.input={{ x", "--set request.input: the value cannot be used: not YAML"),
        ("request.input='{{ x'", "--set request.input: unexpected end of template"),
        ("limits", "--set limits: write it as key=value"),
        ("=5", "--set : write it as key=value"),
        ("name.x=5", "--set name.x: there is no 'x' to set"),
        ("request.input.0=5", "--set request.input.0: there is no '0' to set"),
    ],
)
def test_a_mistake_in_an_override_names_it(write: Write, setting: str, message: str) -> None:
    assert message in refusal(write(JOB), setting)


def test_a_schema_can_be_a_file_beside_the_job(write: Write) -> None:
    write('{"type": "array"}', "answer.json")
    write("type: array\n", "answer.yaml")
    for name in ("answer.json", "answer.yaml"):
        job = load_job(write(JOB + f"  response_format: {{schema: {name}}}\n"))
        assert job.schema is not None
        assert job.schema.schema == {"type": "array"}


def test_a_changed_schema_file_changes_the_fingerprint(write: Write) -> None:
    path = write(JOB + "  response_format: {schema: answer.json}\n")
    write('{"type": "array"}', "answer.json")
    before = load_job(path).request.fingerprint
    write('{"type": "object"}', "answer.json")
    assert load_job(path).request.fingerprint != before


def test_a_mistake_in_a_schema_file_names_both_files(write: Write) -> None:
    write('{"type":\n "objekt",}', "answer.json")
    message = refusal(write(JOB + "  response_format: {schema: answer.json}\n"))
    assert message.startswith("job.yaml:7: request.response_format.schema: answer.json:2: not JSON")


MODEL = """\
from __future__ import annotations
from pydantic import BaseModel
class Line(BaseModel):
    price: float
class Answer(BaseModel):
    lines: list[Line]
    parent: Answer | None = None
NOT_A_MODEL = 5
"""


def test_a_schema_can_be_a_pydantic_model_beside_the_job(write: Write) -> None:
    write(MODEL, "json.py")  # shadows a module that is loaded already
    before = (sys.path.copy(), sys.modules["json"])
    job = load_job(write(JOB + "  response_format: {schema: json:Answer}\n"))
    assert job.schema is not None
    assert job.schema.problems({"lines": [{"price": "x"}]}) == ['$.lines[0].price: "x" is not of type "number"']
    assert (sys.path, sys.modules["json"]) == before
    assert not list(job.base.glob("__pycache__"))


def test_a_model_module_is_read_again_each_time(write: Write) -> None:
    path = write(JOB + "  response_format: {schema: shapes:Answer}\n")
    write(MODEL, "shapes.py")
    before = load_job(path).request.fingerprint
    write(MODEL.replace("price", "total"), "shapes.py")
    assert load_job(path).request.fingerprint != before
    assert "shapes" not in sys.modules


def test_a_models_validators_are_said_not_to_run(write: Write) -> None:
    path = write(JOB + "  response_format: {schema: shapes:Answer}\n")
    write(MODEL, "shapes.py")
    assert load_job(path).warnings == ()
    last = "    parent: Answer | None = None\n"
    checked = f"{last}    @field_validator('lines')\n    def some(cls, value):\n        raise ValueError\n"
    write(MODEL.replace("import BaseModel", "import BaseModel, field_validator").replace(last, checked), "shapes.py")
    (warning,) = load_job(path).warnings
    assert "validators of the model are not run, only what its JSON Schema says is checked: some" in warning


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("nowhere_at_all:X", "module 'nowhere_at_all' cannot be imported: ModuleNotFoundError"),
        ("shapes:Nope", "shapes:Nope is not a pydantic model"),
        ("shapes:NOT_A_MODEL", "shapes:NOT_A_MODEL is not a pydantic model; it is another kind of thing"),
        ("broken:X", "module 'broken' cannot be imported: SyntaxError"),
        ("leaving:X", "module 'leaving' cannot be imported: SystemExit"),
    ],
)
def test_a_model_that_cannot_be_had_is_refused(write: Write, module: str, message: str) -> None:
    write(MODEL, "shapes.py")
    write("def\n", "broken.py")
    write("raise SystemExit(3)\n", "leaving.py")
    assert message in refusal(write(JOB + f"  response_format: {{schema: '{module}'}}\n"))


@pytest.mark.parametrize(("text", "seconds"), [("200ms", 0.2), ("2s", 2), ("5 m", 300), ("1.5h", 5400), ("7d", 604800)])
def test_durations_are_written_with_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


def test_every_field_of_a_job_file_has_a_description() -> None:
    schema = JobSpec.model_json_schema()
    for section in [schema, *schema["$defs"].values()]:
        assert section["description"]
        told = {name for name, field in section["properties"].items() if "description" in field or "$ref" in field}
        assert told == set(section["properties"])


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
KEYS = st.sampled_from(["name", "input", "request", "limits", "poll", "path", "type", "text", "schema", "x", "model"])
TREES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda c: st.lists(c, max_size=3) | st.dictionaries(KEYS, c, max_size=5), max_leaves=15
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.dictionaries(KEYS, TREES))
def test_any_data_is_a_job_or_a_spec_error(write: Write, data: dict[str, Any]) -> None:
    with suppress(SpecError):
        load_job(write(json.dumps(data), "job.json"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.binary() | st.text("name: input-[]{}&*!|>'\"%@`#,?<~\n 0x1.e", max_size=40).map(str.encode))
def test_any_bytes_are_a_job_or_a_spec_error(write: Write, content: bytes) -> None:
    for name in ("job.yaml", "job.toml", "job.json"):
        with pytest.raises(SpecError):
            load_job(write(content, name))
