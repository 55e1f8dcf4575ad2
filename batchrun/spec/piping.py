"""The stages of a job file, checked: that their graph holds, and that they read only what is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from batchrun.errors import SpecError
from batchrun.spec.compiling import Complaints, Source, request_sources
from batchrun.spec.functions import Transform, load_transform
from batchrun.spec.graph import Graph, GraphError
from batchrun.spec.reading.positions import KeyPath
from batchrun.spec.rendering.templates import Condition, columns_of, fields_read_of, needs
from batchrun.spec.service.shapes import Finding, advice
from batchrun.spec.stages import ROWS, STAGES, StageSpec

#: Names that templates have beside the columns of a row.
_NOT_COLUMNS = ("row", "answers", "item")


def graph_of(stages: Mapping[str, StageSpec], told: Complaints) -> Graph | None:
    """The graph of the stages, None where there can be none; then it is told."""
    try:
        return Graph(stages)
    except GraphError as error:
        told.refuse(error.path, error.said)
        return None


def transform_of(stage: StageSpec, name: str, base: Path, told: Complaints) -> Transform | None:
    """The transform of a stage; what is wrong with it is told."""
    if stage.transform is None:
        return None
    try:
        return load_transform(stage.transform, base)
    except SpecError as error:
        told.refuse(("stages", name, "transform"), str(error))
        return None


def idle_settings_of(name: str, stage: StageSpec) -> Iterator[Finding]:
    """What does nothing in such a stage."""
    if stage.transform is None and "timeout" in stage.model_fields_set:
        yield advice(("stages", name, "timeout"), "this does nothing here: it is for a transform; see `poll.deadline`")
    for section in ("poll", "retry") if stage.transform else ():
        for setting in getattr(stage, section).model_fields_set:
            yield advice(
                ("stages", name, section, setting), "this does nothing here: a transform sends nothing; remove it"
            )
    for limit in stage.limits.model_fields_set if stage.transform else ():
        yield advice(("stages", name, "limits", limit), "this does nothing here: a transform sends nothing; remove it")


def check_stage(graph: Graph, name: str, stage: StageSpec, told: Complaints) -> None:
    """Tell what the stage wants of others that they do not have."""
    told.hear(idle_settings_of(name, stage), ())
    _check_continue(graph, name, stage, told)
    for path, kind, source in _sources(name, stage):
        try:
            kind(source)
        except SpecError as error:
            if path[-1] == "when":  # those of the request are compiled with it
                told.refuse(path, str(error))
            continue
        template = f"{{{{ ({source}) }}}}" if kind is Condition else source
        for said in (*_unseen(graph, name, template), *_not_of_a_batch(stage, template)):
            told.refuse(path, said)


def _sources(name: str, stage: StageSpec) -> Iterator[Source]:
    here: KeyPath = ("stages", name)
    if stage.when is not None:
        yield (*here, "when"), Condition, stage.when
    for path, kind, source in request_sources(stage.request) if stage.request else ():
        yield (*here, *path), kind, source


def _unseen(graph: Graph, name: str, template: str) -> Iterator[str]:
    """Stages that a template reads and whose outputs its rows do not have."""
    there = graph.seen(name) if graph.stages[name].batch is None else ()
    for read in sorted(fields_read_of(STAGES, template) - set(there)):
        close = get_close_matches(read, there, 1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; there is {', '.join(there) or 'none'}"
        if read in graph.stages and read not in (name, *graph.above(name), *graph.below(name)):
            hint = f"; name {read!r} in `needs`"
        if graph.stages[name].batch is not None:
            hint = (
                f"; a batch reads its rows: `{{% for r in {ROWS} %}}{{{{ r.{STAGES}.{read}.output }}}}{{% endfor %}}`"
            )
        yield f"`{STAGES}.{read}`: no output of such a stage is there{hint}"


def _not_of_a_batch(stage: StageSpec, template: str) -> Iterator[str]:
    """Columns that a template of a batch reads, which are those of its rows."""
    if stage.batch is None:
        return
    there = {ROWS, STAGES, stage.batch.by, *_NOT_COLUMNS}
    for column in sorted(columns_of(template) - there):
        if needs(column, template):
            yield f"a batch has no column {column!r} of its own; its rows have: `{ROWS}[0].{column}`"


def _check_continue(graph: Graph, name: str, stage: StageSpec, told: Complaints) -> None:
    if stage.continues is None:
        return
    path: KeyPath = ("stages", name, "continue")
    before = graph.stages.get(stage.continues)
    if stage.continues not in graph.seen(name) or before is None:
        told.refuse(path, f"{stage.continues!r} is no stage before this one with one row for each of its rows")
    elif before.request is None:
        told.refuse(path, f"{stage.continues!r} is a transform: it has no interaction to go on from")
    elif not before.request.store or not (stage.request and stage.request.store):
        told.refuse(path, "the service goes on only from what it keeps: remove `store: false`")
