"""A request is the job's templates over one row, or the row's own request with the gaps filled in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.errors import RowError, SpecError
from batchrun.spec.asking import RequestSpec
from batchrun.spec.blocks import MediaRef
from batchrun.spec.judging.schemas import OutputSchema
from batchrun.spec.requests import RequestTemplate

SCHEMA = {"type": "object"}


def template(schema: dict[str, Any] | None = None, **fields: Any) -> RequestTemplate:
    if schema is not None:
        fields["response_format"] = {"schema": schema}
    spec = RequestSpec.model_validate({"model": "m", "input": "Hi {{ name }}", **fields})
    return RequestTemplate(spec, [None if schema is None else OutputSchema(schema)])


def failure(request: RequestTemplate, /, **row: Any) -> RowError:
    with pytest.raises(RowError) as caught:
        request.render(row)
    return caught.value


def test_templates_are_filled_and_other_fields_pass_through() -> None:
    request = template(
        system_instruction="Answer in {{ language }}.",
        generation_config={"seed": 1, "stop": "{{ name }}"},
        tools=[{"type": "google_search"}],
        labels={"team": "a"},
        service_tier="flex",
        store=True,
    )
    assert request.render({"name": "Ada", "language": "French"}).body == {
        "model": "m",
        "input": "Hi Ada",
        "system_instruction": "Answer in French.",
        "generation_config": {"seed": 1, "stop": "{{ name }}"},
        "tools": [{"type": "google_search"}],
        "labels": {"team": "a"},
        "service_tier": "flex",
    }


def test_a_schema_becomes_a_json_response_format() -> None:
    rendered = template(SCHEMA).render({"name": "x"})
    assert rendered.body["response_format"] == {"type": "text", "mime_type": "application/json", "schema": SCHEMA}
    plain = template(response_format={"mime_type": "text/plain"}).render({"name": "x"})
    assert plain.body["response_format"] == {"type": "text", "mime_type": "text/plain"}


def test_parts_become_blocks_and_files_stay_references() -> None:
    parts = [
        {"type": "text", "text": "Read {{ file }}"},
        {"type": "document", "path": "docs/{{ file }}", "resolution": "low"},
    ]
    rendered = template(input=parts).render({"file": "a.pdf"})
    assert rendered.media
    assert rendered.body["input"] == [
        {"type": "text", "text": "Read a.pdf"},
        MediaRef("document", "docs/a.pdf", passed_on={"resolution": "low"}),
    ]
    assert not template(input=parts[:1]).render({"file": "a"}).media


def test_an_empty_system_instruction_is_left_out() -> None:
    assert "system_instruction" not in template(system_instruction="{{ s }}").render({"name": "", "s": None}).body


def test_a_row_can_carry_its_whole_request() -> None:
    own = {"model": "other", "input": [{"type": "text", "text": "{{ raw }}"}], "new_field": {"a": 1}}
    assert RequestTemplate(RequestSpec(), [None]).render({"request": own}).body == own


def test_the_job_fills_in_what_a_row_s_request_leaves_out() -> None:
    request = template(SCHEMA, generation_config={"seed": 1}, system_instruction="Be {{ name }}")
    rendered = request.render({"name": "brief", "request": {"input": "own", "generation_config": {}}})
    assert rendered.body["input"] == "own"
    assert rendered.body["generation_config"] == {}
    assert rendered.body["model"] == "m"
    assert rendered.body["system_instruction"] == "Be brief"


def test_templates_a_row_overrides_are_not_evaluated() -> None:
    assert template(input="{{ nowhere }}").render({"request": {"input": "own"}}).body["input"] == "own"


def test_an_answer_is_judged_by_the_row_s_own_response_format_if_it_has_one() -> None:
    request = template(SCHEMA)
    job_schema = request.schema_for({"name": ""})
    assert job_schema is not None
    assert job_schema.schema == SCHEMA
    assert request.schema_for({"name": "", "request": {"response_format": {"type": "text"}}}) is None
    own = request.schema_for({"name": "", "request": {"response_format": {"schema": {"type": "array"}}}})
    assert own is not None
    assert own.problems({})
    assert not own.problems([])


def test_a_row_s_own_schema_that_is_none_is_a_bad_request() -> None:
    with pytest.raises(RowError, match="no JSON Schema"):
        template(SCHEMA).schema_for({"name": "", "request": {"response_format": {"schema": {"type": 7}}}})


def test_a_row_s_agent_replaces_the_job_s_model_and_its_config() -> None:
    body = template(generation_config={"seed": 1}).render({"name": "x", "request": {"agent": "a"}}).body
    assert body == {"agent": "a", "input": "Hi x"}


def test_a_request_may_be_json_text_and_in_another_column() -> None:
    request = template(column="body")
    assert request.render({"body": json.dumps({"input": "own"}), "request": "words"}).body["input"] == "own"
    assert request.render({"body": None, "name": "x"}).body["input"] == "Hi x"


@pytest.mark.parametrize(
    "own",
    [
        {"background": False},
        {"store": False},
        {"stream": True},
        {"agent": "a", "model": "m"},
        "words",
        '{"input": 1, "input": 2}',
        [],
        5,
    ],
)
def test_a_request_that_cannot_be_run_is_a_row_error(own: object) -> None:
    assert failure(template(), name="x", request=own).kind == "bad_request"


def test_what_batchrun_does_anyway_may_be_asked_for() -> None:
    own = {"background": True, "store": True, "stream": False}
    assert template().render({"name": "x", "request": own}).body == {"model": "m", "input": "Hi x"}


@pytest.mark.parametrize(
    "fields", [{"input": None}, {"input": "{{ name }}"}, {"input": [{"type": "text", "text": ""}]}]
)
def test_a_row_without_input_is_not_sent(fields: dict[str, Any]) -> None:
    assert failure(template(**fields), name="").kind == "no_input"


def test_a_row_without_model_and_agent_is_not_sent() -> None:
    assert failure(template(model=None), name="x").kind == "no_model"


def test_a_template_that_fails_names_the_column() -> None:
    error = failure(template(), nmae="x")
    assert (error.kind, "'name'" in str(error), "'nmae'" in str(error)) == ("template_error", True, True)


def test_a_broken_template_is_a_spec_error() -> None:
    with pytest.raises(SpecError):
        template(input="{{ ")


@given(st.dictionaries(st.text(), st.none() | st.text() | st.integers() | st.dictionaries(st.text(), st.text())))
def test_any_row_gives_a_request_or_a_row_error(row: dict[str, Any]) -> None:
    try:
        body = template().render({"name": "x", **row}).body
    except RowError:
        return
    assert body["model"]


def test_the_fingerprint_follows_what_is_sent() -> None:
    same = template(SCHEMA)
    assert same.fingerprint == template(SCHEMA, store=True, media_root="elsewhere").fingerprint
    changed = {
        "model": template(SCHEMA, model="n"),
        "input": template(SCHEMA, input="Ho {{ name }}"),
        "labels": template(SCHEMA, labels={"a": "b"}),
        "response_format": template({"type": "array"}),
    }
    for part, other in changed.items():
        assert other.fingerprint != same.fingerprint
        assert {name for name in same.parts | other.parts if same.parts.get(name) != other.parts.get(name)} == {part}


def test_columns_of_every_template_are_known() -> None:
    parts = [{"type": "text", "text": "{{ a }}"}, {"type": "image", "path": "{{ b }}"}]
    assert template(input=parts, system_instruction="{{ c }}").columns == {"a", "b", "c"}


def test_each_turn_sends_again_what_does_not_carry_over() -> None:
    request = RequestTemplate(
        RequestSpec.model_validate(
            {
                "model": "m",
                "system_instruction": "Be {{ name }}",
                "tools": ["google_search", {"type": "url_context"}],
                "generation_config": {"seed": 1},
                "turns": ["Hi {{ name }}", {"input": "You said {{ answers[0] }}", "generation_config": {"seed": 2}}],
            }
        ),
        [None, None],
    )
    first, second = request.render({"name": "N"}).body, request.render({"name": "N"}, 1, ["hello"]).body
    assert first["input"] == "Hi N"
    assert second["input"] == "You said hello"
    assert first["tools"] == second["tools"] == [{"type": "google_search"}, {"type": "url_context"}]
    assert first["system_instruction"] == second["system_instruction"] == "Be N"
    assert (first["generation_config"], second["generation_config"]) == ({"seed": 1}, {"seed": 2})
    assert request.columns == {"name"}


def test_a_row_s_own_input_is_that_of_the_first_turn() -> None:
    spec = RequestSpec.model_validate({"model": "m", "turns": ["a", "b"]})
    request = RequestTemplate(spec, [None, None])
    row = {"request": {"input": "own", "labels": {"a": "b"}}}
    assert request.render(row).body["input"] == "own"
    assert request.render(row, 1).body == {"model": "m", "input": "b", "labels": {"a": "b"}}


def test_functions_are_declared_beside_the_service_s_tools() -> None:
    declared = {"type": "function", "name": "f", "description": "", "parameters": {"type": "object"}}
    spec = RequestSpec.model_validate({"model": "m", "input": "a", "tools": ["google_search"]})
    request = RequestTemplate(spec, [None], [declared])
    assert request.render({}).body["tools"] == [{"type": "google_search"}, declared]
    assert request.fingerprint != RequestTemplate(spec, [None]).fingerprint


def test_several_forms_of_an_answer_are_sent_as_a_list() -> None:
    spec = RequestSpec.model_validate(
        {"model": "m", "input": "a", "response_format": [{"type": "text"}, {"type": "image", "aspect_ratio": "1:1"}]}
    )
    sent = RequestTemplate(spec, [None]).render({}).body["response_format"]
    assert sent == [{"type": "text"}, {"type": "image", "aspect_ratio": "1:1"}]


def test_how_rows_are_carried_is_no_part_of_what_is_sent() -> None:
    plain = {"model": "m", "input": "a"}
    other = plain | {"approve": "hold", "inline_limit": 5, "function_calling": {"rounds": 3}, "media_root": "x"}
    prints = {RequestTemplate(RequestSpec.model_validate(each), [None]).fingerprint for each in (plain, other)}
    assert len(prints) == 1
    stateless = RequestTemplate(RequestSpec.model_validate(plain | {"store": False}), [None])
    assert stateless.fingerprint not in prints
    with pytest.raises(RowError, match="foreground"):
        stateless.render({"request": {"store": True}})


def test_a_column_that_only_a_later_turn_lacks_is_found_before_the_first() -> None:
    spec = RequestSpec.model_validate({"model": "m", "turns": ["a", "{{ answers[0].split()[3] }}", "{{ nmae }}"]})
    request = RequestTemplate(spec, [None] * 3)
    with pytest.raises(RowError, match=r"turns\[2\]: the row has no column 'nmae'"):
        request.check_later_turns({"name": "N"})
    request.check_later_turns({"nmae": "N"})
