"""Plausible mistakes in a job file, and what is said of each: what, where, and what to write instead."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from batchrun.errors import SpecError
from batchrun.spec.load import load_job
from batchrun.spec.model import JobSpec

HEAD = "name: a\ninput: {path: r.jsonl}\n"
BARE = HEAD + "request:\n  model: gemini-3.5-flash\n"
JOB = BARE + "  input: Hi {{ x }}\n"
FUNCTIONS = "def look(place: str) -> str:\n    return place\n"
MODELS = "from pydantic import BaseModel\nclass Answer(BaseModel):\n    total: float\n"


def said_of(where: Path, text: str, name: str = "job.yaml") -> str:
    (where / "mine.py").write_text(FUNCTIONS)
    (where / "shapes.py").write_text(MODELS)
    (where / name).write_text(text)
    with pytest.raises(SpecError) as caught:
        load_job(where / name)
    return str(caught.value).replace(f"{where}/", "")


def part(text: str) -> str:
    return BARE + f"  input:\n    - {text}\n"


def where(expression: str) -> str:
    return JOB.replace("path: r.jsonl", f"path: r.jsonl, where: {json.dumps(expression)}")


MISTAKES: list[tuple[str, str]] = [
    # turns
    (BARE + "  turns: []\n", "job.yaml:5: request.turns: at least one item is expected; add one, or remove the key"),
    (BARE + "  turns: hello\n", "job.yaml:5: request.turns: a list is expected, not 'hello'; write [hello]"),
    (BARE + "  turns: [{text: a}]\n", "job.yaml:5: request.turns[0].text: unknown key: write `input`"),
    (BARE + "  turns: [{role: user}]\n", "request.turns[0].role: unknown key: a turn is what you say, and the answers"),
    (BARE + "  turns: [{type: image, path: a}]\n", "turns[0].path: unknown key: a part stands in a list: `input: [{t"),
    (
        BARE + "  turns: [{input: a, modle: b}]\n",
        "known here: generation_config, input, response_format, system_instruc",
    ),
    (BARE + "  turns: [{input: a, tool: [b]}]\n", "request.turns[0].tool: unknown key; did you mean `tools`?"),
    (
        BARE + "  turns: [[{type: text, text: a, pgaes: 1}]]\n",
        "[0][0].pgaes: unknown key; known here: each, text, type",
    ),
    (
        BARE + "  turns: [[{type: image, path: a, pgaes: 1}]]\n",
        "job.yaml:5: request.turns[0][0].pgaes: unknown key; did you mean `pages`?",
    ),
    (BARE + "  turns: [[{type: imgae, path: a}]]\n", "not 'imgae'; did you mean image?"),
    (
        BARE + "  turns: ['{{ answers[0] }}', b]\n",
        "job.yaml:5: request.turns[0]: in the first turn there are no answers yet; a column of this name is row['answe",
    ),
    (BARE + "  turns: [{input: '{{ answers }}'}]\n", "request.turns[0].input: in the first turn there are no answers"),
    (
        BARE + "  system_instruction: '{{ answers | last }}'\n  turns: [a, b]\n",
        "job.yaml:5: request.system_instruction: in the first turn there are no answers yet",
    ),
    (
        BARE + "  turns: [a, '{{ answers[1] }}']\n",
        "`answers[1]` is not there yet: of the turns before there is answers[0]",
    ),
    # parts
    (part("{type: pdf, path: a}"), "job.yaml:6: request.input[0]: `type` must be one of 'text', 'document', 'image'"),
    (part("{type: pdf, path: a}"), "not 'pdf'; did you mean document?"),
    (part("{type: text, path: a}"), "request.input[0].path: unknown key: a file of text is a part of `type: document`"),
    (part("{type: image, url: a}"), "request.input[0].url: unknown key: write `uri`"),
    (part("{type: image, path: 'https://a.io/b.png'}"), "an address is given as `uri`, not as `path`"),
    (part("{type: image, uri: 'http://a.io/{{ x }}'}"), "`uri` begins with https:// or gs://"),
    (part("{type: image, uri: a.png}"), "`uri` begins with https:// or gs://; a file is given as `path`"),
    (part("{type: image, path: a, mime_type: png}"), "'png' is no MIME type; write it with a slash, such as image/png"),
    (part("hello"), "request.input[0]: a mapping is expected, not 'hello'; write a part such as {type: text, text: …}"),
    (part("{type: image, path: a, resolution: hi}"), "'ultra_high' is expected, not 'hi'; did you mean high?"),
    (part("{type: image, each: '{{ photos }}', path: a}"), "not the template '{{ photos }}'; leave the braces out"),
    (BARE + "  input: {type: text, text: a}\n", "text or a list is expected, not a mapping; put the part in a list"),
    (BARE + "  fetch: ['https://a.io/']\n", "job.yaml:5: request.fetch[0]: 'https://a.io/' is no host: write the host"),
    # keys of other sections and of other tools
    ("model: m\n" + HEAD, "job.yaml:1: model: unknown key; it belongs inside `request`"),
    ("prompt: m\n" + HEAD, "job.yaml:1: prompt: unknown key: write `input` inside `request`"),
    (JOB + "  limits: {rpm: 5}\n", "job.yaml:6: request.limits: unknown key; it belongs at the top of the file"),
    (JOB + "  in_flight: 5\n", "job.yaml:6: request.in_flight: unknown key; it belongs inside `limits`"),
    (JOB + "  max_output_tokens: 5\n", "unknown key: it belongs inside `generation_config`"),
    (JOB + "  generation_config: {tools: [a]}\n", "it stands in `request`, beside `generation_config`"),
    (JOB + "  generation_config.seed: 1\n", "unknown key; write it nested: `generation_config: {seed: …}`"),
    (JOB + "  generationConfig: {}\n", "unknown key; did you mean `generation_config`?"),
    (JOB + "  system: a\n", "request.system: unknown key: write `system_instruction`"),
    (JOB + "  schema: {}\n", "request.schema: unknown key: it belongs inside `response_format`, as `schema`"),
    (JOB + "limits: {concurrency: 5}\n", "job.yaml:6: limits.concurrency: unknown key: write `in_flight`"),
    (JOB + "output: {column: [x]}\n", "job.yaml:6: output.column: unknown key; did you mean `columns`?"),
    (JOB.replace("path:", "file:"), "job.yaml:2: input.file: unknown key: write `path`"),
    # functions and tools
    (JOB + "  functions: mine:lok\n", "request.functions: module 'mine' has no function 'lok'; did you mean look?"),
    (JOB + "  functions: mine.look\n", "; what stands in a module is named with a colon, module:name"),
    (JOB + "  functions: mien\n", ", which has mine.py"),
    (JOB + "  function_calling: {allowed: [a]}\n", "unknown key: write `tool_choice` in `generation_config`"),
    (JOB + "  function_calling: {timeout: -1}\n", "request.function_calling.timeout: at least 0 is expected, not -1"),
    (
        JOB + "  function_calling: {interrupted: hodl}\n",
        "'hold' or 'rerun' is expected, not 'hodl'; did you mean hold?",
    ),
    (JOB + "  tools: google_search\n", "request.tools: a list is expected, not 'google_search'; write [google_search]"),
    (JOB + "  tools: [{googleSearch: {}}]\n", "request.tools[0].type: "),
    (JOB + "  tools: [{googleSearch: {}}]\n", "; write `type: google_search`"),
    # answers
    (JOB + "  response_format: {type: json_object}\n", "for JSON leave `type` out and give `schema`"),
    (
        JOB + "  response_format: {schema: 'shapes:Answr'}\n",
        "shapes:Answr is not a pydantic model; did you mean Answer?",
    ),
    (
        JOB + "  response_format: {schema: {$ref: other.json}}\n",
        "a `$ref` leads out of the schema; write what it refers",
    ),
    (JOB + "  response_format: {schema: {pattern: (?=a)}}\n", "patterns have no look-around and no back-references"),
    # values
    (JOB.replace("name: a", "name: my job"), "job.yaml:1: name: at most 63 of a-z, A-Z, 0-9, `_`, `.` and `-` are exp"),
    (JOB.replace("name: a", "name: 12"), "job.yaml:1: name: text is expected (put it in quotes), not 12"),
    (JOB + "  store: no\n", "job.yaml:6: request.store: true or false is expected, not 'no'; write false"),
    (JOB + "output: {jsonl: Yes}\n", "job.yaml:6: output.jsonl: true or false is expected, not 'Yes'; write true"),
    (JOB + "limits: {in_flight: 1e3}\n", "limits.in_flight: a whole number is expected, not 1000.0; write 1000"),
    (JOB + "limits: {rpm: 0}\n", "job.yaml:6: limits.rpm: more than 0 is expected, not 0"),
    (JOB + "alerts: {to: [{command: notify me}]}\n", "a list is expected, not 'notify me'; write [notify, me]"),
    (JOB + "alerts: {failure_rate: 120%, to: []}\n", "alerts.failure_rate: at most 1 is expected, not '120%'"),
    (JOB + f"limits: {{posts: {'9' * 5000}}}\n", "job.yaml:6: limits.posts: a number of 5,000 digits is too long"),
    (JOB + "poll: {deadline: 1:30}\n", "job.yaml:6: poll.deadline: '1:30' is no duration: write a number of seconds"),
    (JOB + "retry: {ambiguous: hold}\n", "a mapping is expected, not 'hold'; write {model: hold, agent: hold}"),
    (JOB + "output:\n", "output: a mapping is expected, not nothing; indent what belongs to it, or remove the key"),
    (
        HEAD.replace("{path: r.jsonl}", "r.jsonl"),
        "input: a mapping is expected, not 'r.jsonl'; write path: r.jsonl below",
    ),
    (HEAD.replace("r.jsonl", "[a, b]"), "input.path: one text is expected, not a list; a pattern such as rows-*.jsonl"),
    (HEAD.replace("r.jsonl", "r, key: '{{ id }}'"), "input.key: the name of a column is expected, not the template"),
    (JOB + '  system_instruction: "\\ud800"\n', "request.system_instruction: half of a surrogate pair"),
    # templates and conditions
    (where("a = 'b'"), "job.yaml:2: input.where: chunk after expression (line 1 of the template); equal is `==`"),
    (where("a == 1 && b"), "; write `and`, `or` and `not`, in lower case"),
    (where("a is null"), "; null is `none`"),
    (where("a <> 1"), "; unequal is `!=`"),
    (where("{{ a == 1 }}"), "; leave the braces out"),
    (
        BARE + "  input: '{{ x | uper }}'\n",
        "there is no filter 'uper' in templates (line 1 of the template); did you mean u",
    ),
    (
        BARE + "  input: '{% if x is defned %}a{% endif %}'\n",
        "there is no test 'defned' in templates (line 1 of the temp",
    ),
    # YAML
    (
        BARE + "  input: Rate: it\n",
        "job.yaml:5: not YAML: mapping values are not allowed here; a text with a colon needs qu",
    ),
    (BARE + "  input: {{ x }} is\n", "; a text that begins with {, [ or a quote needs quotes around all of it"),
    (BARE + "  input: {{ x }}\n", "request.input: a key must be text; put a template such as {{ name }} in quotes"),
    (BARE + "  input: {% if x %}a\n", "; a text that begins with this character needs quotes"),
    (BARE + "  input: - x\n", "; a text that begins with - needs quotes, and a list begins on the next line"),
    (BARE + "  input: ? x\n", "; a text that begins with ? needs quotes"),
    (BARE + "  input: | Hi\n", "; the text of | or > begins on the next line"),
    (BARE + "  input: |\n  Hi\n", "; a key needs a colon and a space, and the lines of a text are indented further"),
    (
        JOB + "\u00a0 labels: {a: b}\n",
        "unknown key; it contains the invisible character U+00A0; write a space, or noth",
    ),
    (BARE + "  input: *x*\n", "; a text that begins with * needs quotes"),
    (JOB.replace("  model", "\tmodel"), "job.yaml:4: not YAML: "),
    (JOB.replace("  model", "\tmodel"), "; indent with spaces"),
    (JOB + " labels: {a: b}\n", "; check the indentation: keys of one section begin in the same column"),
    ("name: a\ninput\nrequest: {}\n", "; a key needs a colon and a space"),
    (JOB + "---\nname: b\n", "a job file has no line ---; make two files of it"),
    (JOB + "  input: again\n", "job.yaml:6: request.input: this key is already given in line 5; keep one of them"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_is_told_with_what_to_write_instead(tmp_path: Path, text: str, message: str) -> None:
    assert message in said_of(tmp_path, text)


@pytest.mark.parametrize(
    ("name", "text", "advice"),
    [
        ("job.toml", 'name = "a"\nname = "b"\n', "; this key is given twice; keep one of them"),
        ("job.toml", "name = a\n", "; text needs quotes; true and false are in lower case"),
        ("job.toml", "name: a\n", "; TOML has key = value"),
        ("job.json", '{"name": "a",}', "; keys need double quotes, and no comma stands before a closing brace"),
        ("job.json", "{\"name\": 'a'}", "; text needs double quotes; true, false and null are in lower case"),
        ("job.json", '{"name": "a" // b\n}', "; is a comma or a bracket missing before this? JSON has no comments"),
    ],
)
def test_other_formats_mistakes_have_advice_too(tmp_path: Path, name: str, text: str, advice: str) -> None:
    assert advice in said_of(tmp_path, text, name)


ALLOWED = [
    JOB.replace("Hi {{ x }}", "'{{ answers[0] }}'"),  # a column of the rows
    BARE + "  turns: [\"{{ row['answers'] }}\", '{{ answers[0] }}']\n",
    BARE + "  system_instruction: '{% if answers is defined %}Go on.{% endif %}'\n  turns: [a, b]\n",
    BARE + "  system_instruction: '{{ answers | default([]) | length }}'\n  turns: [a, b]\n",
    BARE + "  system_instruction: '{{ answers[0] }}'\n  turns: [{input: a, system_instruction: b}, c]\n",
    part("{type: image, uri: '{{ url }}', mime_type: image/png}"),
    part("{type: image, uri: 'HTTPS://a.io/{{ x }}', mime_type: '{{ y }}/png'}"),
    part("{type: image, uri: '{% if x %}https{% else %}gs{% endif %}://a/b', mime_type: image/png}"),
    JOB + "  fetch: [Archive.example.com, localhost, bücher.example]\n",
    where("a == 'x=y' and b"),
]


@pytest.mark.parametrize("text", ALLOWED)
def test_what_only_looks_like_a_mistake_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "job.yaml").write_text(text)
    assert load_job(tmp_path / "job.yaml").spec.name == "a"


# -- every field -----------------------------------------------------------------------------------------------------

ODD: list[Any] = [5, -1, 1.5, "odd {{", "", True, None, [], [5], [[]], {}, {"type": "text"}, {"x": 1}, [{"type": "x"}]]
#: Words of the libraries behind, which say nothing to who writes a job file.
FOREIGN = re.compile(
    r"Input should|should |validation|pydantic\.|Extra inputs|Field required|Traceback|union_tag|tagged"
)


def fields(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The key path of every field of a job file's sections."""
    for name, field in model.model_fields.items():
        yield (*path, field.alias or name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, (*path, name))


def with_value(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    job: dict[str, Any] = {"name": "a", "input": {"path": "x"}, "request": {"model": "m"}}
    section = job
    for step in path[:-1]:
        section = section.setdefault(step, {})
    section[path[-1]] = value
    return job


@pytest.mark.parametrize("path", list(fields(JobSpec)), ids=".".join)
def test_whatever_a_field_holds_the_message_is_in_words_of_the_job_file(tmp_path: Path, path: tuple[str, ...]) -> None:
    refused = 0
    for value in ODD:
        (tmp_path / "job.json").write_text(json.dumps(with_value(path, value), indent=1))
        try:
            load_job(tmp_path / "job.json")
        except SpecError as error:
            refused += 1
            lines = str(error).splitlines()
            assert not [line for line in lines if FOREIGN.search(line)]
            assert all(re.match(rf"{re.escape(str(tmp_path))}/job\.json(:\d+)?: .+", line) for line in lines)
    assert refused
