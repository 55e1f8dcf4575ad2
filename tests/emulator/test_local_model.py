"""A real llama.cpp answers, on a model that was never trained: what it says is nonsense, what it does is not.

Every interaction is tried twice: the emulator loads the file itself, and asks a server that has loaded it. The package
is never imported here: it and the uharfbuzz of fpdf2, both built with Cython, cannot be loaded into one process.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import psutil
import pyarrow.parquet as pq
import pytest

from tests.emulator.in_process import KEY, URL, body, json_format, text_of
from tests.emulator.media_files import block
from tests.emulator.media_files import picture as picture_of
from tests.emulator.tiny_model import CONTEXT_TOKENS, write_tiny_model
from tests.processes import command, emulator, finish, start, write_job

pytestmark = pytest.mark.skipif(
    find_spec("xllamacpp") is None,
    reason="xllamacpp is not installed: pip install 'batchrun[local]', or make local-model",
)

INVOICE = Path(__file__).parent.parent.parent / "sample_data" / "invoices" / "inv-001.pdf"
SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["invoice", "reminder"]},
        "total": {"type": "integer", "minimum": 0, "maximum": 9999},
        "due": {"anyOf": [{"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$"}, {"type": "null"}]},
        "items": {"type": "array", "maxItems": 3, "items": {"$ref": "#/$defs/item"}},
    },
    "required": ["kind", "total", "due", "items"],
    "additionalProperties": False,
    "$defs": {"item": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
}


#: More than fits into the context; one repetition may not be as long for llama.cpp.
ENDLESS = json_format({"type": "string", "pattern": f"^{'a{1000}' * 5}$"})
_SERVE = """
import sys
from pathlib import Path
from batchrun.emulator.replies.gguf import GgufFile
server = GgufFile(Path(sys.argv[1])).opened()
print(server.url, flush=True)
sys.stdin.read()
"""
_OPEN_AND_CLOSE = """
import sys
from batchrun.emulator import Emulator, EmulatorSettings, load_replies
for _ in range(20):
    Emulator(EmulatorSettings(replies=load_replies("gguf:" + sys.argv[1]))).close()
print("closed")
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="module", params=["gguf", "openai"])
def client(request: pytest.FixtureRequest, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of an emulator whose answers come from the model: from its file, or from a server of another process."""
    with (
        nullcontext(f"gguf:{model}") if request.param == "gguf" else model_server(model) as replies,
        emulator(tmp_path_factory.mktemp("emulator"), "--replies", replies) as url,
        httpx.Client(base_url=url, headers=KEY, timeout=60) as connected,
    ):
        yield connected


@contextmanager
def model_server(model: Path) -> Iterator[str]:
    """The replies of a process that serves a model until its standard input ends."""
    with script(_SERVE, model) as process:
        assert process.stdout is not None
        yield f"openai:{process.stdout.readline().strip()}"


def script(code: str, model: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, str(model)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def create(client: httpx.Client, seed: int = 1, **fields: Any) -> dict[str, Any]:
    """A foreground interaction at its end."""
    generation = {"seed": seed, **fields.pop("generation_config", {})}
    answer = client.post(URL, json=body(background=None, generation_config=generation, **fields))
    assert answer.status_code == 200, answer.text
    interaction: dict[str, Any] = answer.json()
    return interaction


def complaint(interaction: dict[str, Any]) -> tuple[str, str]:
    assert interaction["status"] == "failed"
    (error,) = interaction["errors"]
    return error["code"], error["message"]


def test_it_says_something_and_counts_its_tokens(client: httpx.Client) -> None:
    interaction = create(client)
    usage = interaction["usage"]
    assert interaction["status"] == "completed"
    assert text_of(interaction)
    assert usage["total_tokens"] == usage["total_input_tokens"] + usage["total_output_tokens"]
    assert usage["total_input_tokens"] > len("How many paws are in my house?")


@pytest.mark.parametrize("seed", range(5))
def test_an_answer_with_a_schema_is_json_that_satisfies_it(client: httpx.Client, seed: int) -> None:
    interaction = create(client, seed, response_format=json_format(SCHEMA))
    assert interaction["status"] == "completed"
    jsonschema_rs.validate(SCHEMA, json.loads(text_of(interaction)))


def test_the_schema_is_in_the_prompt(client: httpx.Client) -> None:
    without, with_schema = create(client), create(client, response_format=json_format(SCHEMA))
    shown = with_schema["usage"]["total_input_tokens"] - without["usage"]["total_input_tokens"]
    assert shown > len(json.dumps(SCHEMA, separators=(",", ":")))


def test_types_in_upper_case_are_enforced_too(client: httpx.Client) -> None:
    schema = {"type": "OBJECT", "properties": {"total": {"type": "INTEGER"}}, "required": ["total"]}
    assert isinstance(json.loads(text_of(create(client, response_format=json_format(schema))))["total"], int)


def test_a_schema_that_cannot_be_enforced_is_still_in_the_prompt(client: httpx.Client) -> None:
    too_long = json_format({"type": "string", "pattern": "^a{20000}$"})
    interaction = create(client, response_format=too_long)
    assert interaction["status"] == "completed"
    assert interaction["usage"]["total_input_tokens"] > create(client)["usage"]["total_input_tokens"]


def test_json_without_a_schema_is_an_object(client: httpx.Client) -> None:
    form = {"type": "text", "mime_type": "application/json"}
    assert isinstance(json.loads(text_of(create(client, response_format=form))), dict)


def test_a_background_interaction_is_there_when_the_model_is_done(client: httpx.Client) -> None:
    created = client.post(URL, json=body(generation_config={"seed": 1})).json()
    assert created["status"] == "in_progress"
    while (interaction := client.get(f"{URL}/{created['id']}").json())["status"] == "in_progress":
        pass
    assert text_of(interaction) == text_of(create(client))


def test_a_stream_brings_the_same_text(client: httpx.Client) -> None:
    text = client.post(URL, json=body(background=None, stream=True, generation_config={"seed": 1})).text
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    said = "".join(event["delta"]["text"] for event in events if event["event_type"] == "step.delta")
    assert said == text_of(create(client))
    assert events[-1]["event_type"] == "interaction.completed"
    assert events[-1]["interaction"]["usage"]["total_output_tokens"] > 0


def test_a_second_turn_reads_the_first(client: httpx.Client) -> None:
    first = create(client)
    second = create(client, previous_interaction_id=first["id"])
    assert second["usage"]["total_input_tokens"] > first["usage"]["total_tokens"]


def test_a_limit_on_the_output_leaves_it_incomplete(client: httpx.Client) -> None:
    interaction = create(client, response_format=json_format(SCHEMA), generation_config={"max_output_tokens": 4})
    assert (interaction["status"], interaction["usage"]["total_output_tokens"]) == ("incomplete", 4)


def test_output_that_never_ends_is_incomplete_when_the_context_is_full(client: httpx.Client) -> None:
    interaction = create(client, response_format=ENDLESS)
    assert (interaction["status"], interaction["usage"]["total_tokens"]) == ("incomplete", CONTEXT_TOKENS)


def test_a_pdf_is_read_by_its_text_layer(client: httpx.Client) -> None:
    pdf = {"type": "document", "mime_type": "application/pdf", "data": b64encode(INVOICE.read_bytes()).decode()}
    interaction = create(client, input=[{"type": "text", "text": "Total?"}, pdf], response_format=json_format(SCHEMA))
    assert interaction["status"] == "completed"
    assert interaction["usage"]["total_input_tokens"] > 1000


def test_an_image_is_more_than_this_model_can_read(client: httpx.Client) -> None:
    picture = block("image", "image/png", picture_of(8, 8))
    code, message = complaint(create(client, input=[{"type": "text", "text": "What is it?"}, picture]))
    assert code == "invalid_request"
    assert "image" in message


def test_a_prompt_longer_than_the_context_is_an_error_of_the_request(client: httpx.Client) -> None:
    code, message = complaint(create(client, input="a" * CONTEXT_TOKENS))
    assert code == "invalid_request"
    assert f"the model's context only {CONTEXT_TOKENS}" in message


def test_a_stream_says_why_there_is_no_answer(client: httpx.Client) -> None:
    text = client.post(URL, json=body(background=None, stream=True, input="a" * CONTEXT_TOKENS)).text
    assert "event: error\n" in text
    assert "the model's context only" in text


def test_a_run_reads_invoices_with_a_model(model: Path, tmp_path: Path) -> None:
    shutil.copy(INVOICE, tmp_path / "invoice.pdf")
    parts = [{"type": "text", "text": "{{ word }}"}, {"type": "document", "path": "invoice.pdf"}]
    fixed = {"response_format": {"schema": SCHEMA}, "generation_config": {"seed": 1}}
    write_job(tmp_path, 3, request={"model": "gemini-3.5-flash", "input": parts, **fixed})
    code, out, err = command(tmp_path, "run", "job.json", "--emulator", "--replies", f"gguf:{model}", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["usage"]["total_input_tokens"] > 3000
    rows = pq.read_table(tmp_path / "runs/job.emulated/results.parquet").to_pylist()
    assert {row["kind"] for row in rows} <= {"invoice", "reminder"}


def serving(model: Path, where: Path) -> subprocess.Popen[str]:
    return start(where, "emulator", "serve", "--port", "0", "--replies", f"gguf:{model}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_while_the_model_speaks_and_leaves_no_process(
    model: Path, tmp_path: Path, number: int
) -> None:
    served = serving(model, tmp_path)
    assert served.stdout is not None
    url = served.stdout.readline().strip()
    created = [httpx.post(url + URL, headers=KEY, json=body(input=word, response_format=ENDLESS)) for word in "abc"]
    assert [answer.status_code for answer in created] == [200, 200, 200]
    assert psutil.Process(served.pid).children(recursive=True) == []
    served.send_signal(number)
    code, _, err = finish(served, seconds=30)
    assert code == 0
    assert "Stopped after 3 interactions" in err


def test_a_signal_while_the_model_is_loaded_ends_it_too(model: Path, tmp_path: Path) -> None:
    served = serving(model, tmp_path)
    assert served.stderr is not None
    assert served.stderr.readline().startswith("Loading tiny.gguf")
    served.send_signal(signal.SIGINT)
    assert finish(served, seconds=30)[0] in (0, 130)


def test_a_model_that_is_dropped_at_once_ends(model: Path) -> None:
    with script(_OPEN_AND_CLOSE, model) as process:
        assert process.communicate(timeout=60) == ("closed\n", None)


@pytest.mark.parametrize(
    ("spoiled", "reason"),
    [
        (lambda whole: b"", "failed to read magic"),
        (lambda whole: b"version https://git-lfs.github.com/spec/v1", "expected 'GGUF'"),
        (lambda whole: whole[:-1000], "corrupted or incomplete"),
        (lambda whole: whole.replace(b"llama", b"lxama"), "unknown model architecture: 'lxama'"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_refused_with_the_reason(
    model: Path, tmp_path: Path, spoiled: Any, reason: str
) -> None:
    path = tmp_path / "spoiled.gguf"
    path.write_bytes(spoiled(model.read_bytes()))
    code, out, err = command(tmp_path, "emulator", "serve", "--port", "0", "--replies", f"gguf:{path}")
    assert (code, out) == (65, "")
    assert "spoiled.gguf cannot be loaded (" in err
    assert reason in err
