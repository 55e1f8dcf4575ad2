"""The labelled points of a run at which it is killed, and what may be in doubt afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.reliability.points import Point

#: What a death there may leave unknown: nothing, whether a POST was billed, or how far a function came.
Doubt = Literal["nothing", "post", "function"]

_STORE = "batchrun.store.store:Store"
_FILES = "batchrun.outputs.files"
_TRANSPORT = "batchrun.interactions.transport"
_POST_ANSWER, _POLL_ANSWER = "/interactions)", "/interactions/v1_"


@dataclass(frozen=True, slots=True)
class Label:
    """A point in the runs of one scenario, by name."""

    name: str
    scenario: str
    point: Point
    doubt: Doubt = "nothing"

    @property
    def words(self) -> str:
        return f"{self.scenario}/{self.name}"


def _before(name: str, target: str, scenario: str = "plain", doubt: Doubt = "nothing", **of: str) -> Label:
    return Label(name, scenario, Point(target, "before", **of), doubt)


def _after(name: str, target: str, scenario: str = "plain", doubt: Doubt = "nothing", **of: str) -> Label:
    return Label(name, scenario, Point(target, "after", **of), doubt)


def _amid(name: str, target: str, scenario: str = "plain", doubt: Doubt = "nothing", **of: str) -> Label:
    return Label(name, scenario, Point(target, "amid", **of), doubt)


_STARTING = (
    _before("start", "batchrun.runs.run:open_run"),
    _after("after_directory", "batchrun.runs.directory:RunDir.make"),
    _after("after_lock", "batchrun.runs.opening:RunLock.__init__"),
    _before("mid_migrate", "sql:CREATE INDEX row_pending"),
    _after("after_migrate", "batchrun.store.store:connect"),
    _after("before_identity_is_kept", "sql:INSERT INTO meta VALUES ('run_id'"),
    _after("after_identity", "batchrun.runs.opening:identify"),
    _after("mid_ingest", "batchrun.store.admission:_admit_one"),
    _after("before_rows_are_kept", "sql:INSERT INTO row"),
    _after("after_ingest", "batchrun.runs.intake:admit"),
    _after("after_input_is_known", "batchrun.runs.run:take_in"),
    _after("after_preflight", "batchrun.runs.run:check_outputs"),
    _after("before_epoch_is_kept", "sql:UPDATE meta SET value"),
    _after("after_epoch", f"{_STORE}.begin_epoch"),
    _before("before_engine", "batchrun.engine.engine:Engine.run"),
)

_POSTING = (
    _before("before_intent", f"{_STORE}.arm"),
    _after("mid_intent", "sql:INSERT INTO attempt"),
    _after("after_intent", f"{_STORE}.arm", doubt="post"),
    _before("before_connect", f"{_TRANSPORT}:AiohttpTransport._send", doubt="post", given="'POST'"),
    _before("after_head", f"{_TRANSPORT}:_note_sent", doubt="post", given="'POST'"),
    _before("before_answer_is_read", f"{_TRANSPORT}:AiohttpTransport._read", doubt="post", given=_POST_ANSWER),
    _after("after_answer_is_read", f"{_TRANSPORT}:AiohttpTransport._read", doubt="post", given=_POST_ANSWER),
    _after("after_evidence", "batchrun.interactions.evidence:of_post", doubt="post"),
    _before("before_id", f"{_STORE}.submitted", doubt="post"),
    _after("mid_id", "sql:UPDATE attempt SET state = 'submitted'", doubt="post"),
    _after("after_id", f"{_STORE}.submitted"),
    _after("after_post", "batchrun.engine.post:Poster.post"),
)

_ANSWERING = (
    _before("before_poll", "batchrun.interactions.client:Client.get"),
    _before("mid_poll", f"{_TRANSPORT}:AiohttpTransport._read", given=_POLL_ANSWER),
    _after("after_poll", "batchrun.engine.polling:of_poll"),
    _before("before_raw", f"{_STORE}.fetched"),
    _after("mid_raw", "sql:UPDATE attempt SET state = 'fetched'"),
    _after("after_raw", f"{_STORE}.fetched"),
    _before("before_judgement", "batchrun.engine.conversation:after"),
    _before("before_outcome", f"{_STORE}.finish"),
    _after("mid_outcome", "sql:UPDATE row SET outcome"),
    _after("after_outcome", f"{_STORE}.finish"),
    _after("after_last_row", f"{_STORE}.drain"),
)

_EXPORTING = (
    _before("before_export", "batchrun.runs.run:export_all"),
    _after("after_draft", f"{_FILES}:_create"),
    _after("mid_results", "batchrun.outputs.results:result_of"),
    _after("mid_failed", "batchrun.outputs.export:_write_line"),
    _before("mid_parquet", "batchrun.outputs.table:Table._write_group"),
    _after("after_parquet_group", "batchrun.outputs.table:Table._write_group"),
    _before("before_usage", "batchrun.outputs.export:_write_usage"),
    _before("before_steps", "batchrun.outputs.export:_write_steps"),
    _before("before_draft_is_synced", "os:fsync", within="replacing"),
    _after("after_draft_is_synced", "os:fsync", within="replacing"),
    _after("after_rename", "pathlib:Path.replace", within="replacing"),
    _after("after_directory_is_synced", f"{_FILES}:sync_directory"),
    _before("before_summary", "batchrun.outputs.summary:write_whole"),
    _before("before_export_is_known", f"{_STORE}.set_meta", given="exported"),
    _after("after_export_is_known", f"{_STORE}.set_meta", given="exported"),
    _after("before_report", "batchrun.runs.run:Result.__init__"),
)

_UPLOADING = (
    _after("after_claim", "batchrun.store.files:FileRegistry.claim", "uploads"),
    _before("before_upload", "batchrun.interactions.files:FilesApi.start", "uploads"),
    _after("after_start", "batchrun.interactions.files:FilesApi.start", "uploads"),
    _before("before_upload_is_kept", "batchrun.store.files:FileRegistry.keep", "uploads"),
    _after("after_upload_is_kept", "batchrun.store.files:FileRegistry.keep", "uploads"),
    _before("before_chunk", "batchrun.interactions.files:FilesApi.put", "uploads"),
    _after("mid_chunk", f"{_TRANSPORT}:_note_sent", "uploads", given="upload"),
    _after("after_chunk", "batchrun.interactions.files:FilesApi.put", "uploads"),
    _after("after_upload", "batchrun.engine.uploads:Uploads._sent", "uploads"),
    _after("after_id", f"{_STORE}.submitted", "uploads"),
)

_CALLING = (
    _before("before_call_is_kept", f"{_STORE}.call_begins", "functions"),
    _after("mid_call", "sql:INSERT INTO tool_call", "functions"),
    _after("after_call_is_kept", f"{_STORE}.call_begins", "functions", "function"),
    _before("tool_before_run", "batchrun.tools.toolbox:Toolbox.call", "functions", "function"),
    _after("tool_after_run", "batchrun.tools.toolbox:Toolbox.call", "functions", "function"),
    _after("mid_result", "sql:UPDATE tool_call SET result", "functions", "function"),
    _after("after_result", f"{_STORE}.call_ends", "functions"),
    _after("after_intent", f"{_STORE}.arm", "functions", "post"),
    _after("after_raw", f"{_STORE}.fetched", "functions"),
)

_CONVERSING = (
    _before("before_intent", f"{_STORE}.arm", "turns"),
    _after("after_intent", f"{_STORE}.arm", "turns", "post"),
    _after("after_id", f"{_STORE}.submitted", "turns"),
    _after("after_raw", f"{_STORE}.fetched", "turns"),
    _before("before_outcome", f"{_STORE}.finish", "turns"),
)

_WAITING = (
    _after("after_intent", f"{_STORE}.arm", "foreground", "post"),
    _before("before_answer_is_read", f"{_TRANSPORT}:AiohttpTransport._read", "foreground", "post"),
    _before("before_raw", f"{_STORE}.fetched", "foreground", "post"),
    _after("mid_raw", "sql:UPDATE attempt SET state = 'fetched'", "foreground", "post"),
    _after("after_raw", f"{_STORE}.fetched", "foreground"),
)

_SENDING_FILES = (_amid("mid_body", "batchrun.interactions.bodies:Body.chunks", "inline", "post"),)

_RECEIVING_FILES = (
    _before("before_media", "batchrun.engine.keep:detach", "media"),
    _before("before_medium_is_synced", "os:fsync", "media", within="write"),
    _after("after_medium_is_synced", "os:fsync", "media", within="write"),
    _after("after_medium_is_named", "pathlib:Path.replace", "media", within="write"),
    _after("after_media", "batchrun.engine.keep:detach", "media"),
    _before("before_raw", f"{_STORE}.fetched", "media"),
    _after("after_link", "batchrun.outputs.media_files:_link", "media"),
    _before("before_download", "batchrun.interactions.client:Client.download", "addresses"),
    _after("after_download", "batchrun.interactions.client:Client.download", "addresses"),
    _before("before_media_are_known", f"{_STORE}.completed", "addresses"),
    _after("after_media_are_known", f"{_STORE}.completed", "addresses"),
)

_UPGRADING = (
    _before("before_backup", "batchrun.store.versions:_back_up", "upgrade"),
    _before("before_backup_is_made", "sql:VACUUM INTO", "upgrade"),
    _before("before_backup_is_synced", "os:fsync", "upgrade", within="_back_up"),
    _after("after_backup_is_named", "pathlib:Path.rename", "upgrade", within="_back_up"),
    _after("after_backup", "batchrun.store.versions:_back_up", "upgrade"),
    _before("mid_upgrade", "sql:UPDATE row SET later", "upgrade"),
    _after("before_upgrade_is_kept", "sql:ALTER TABLE row ADD COLUMN later", "upgrade"),
    _after("after_upgrade", "batchrun.store.store:connect", "upgrade"),
)

LABELS = (
    *_STARTING,
    *_UPGRADING,
    *_POSTING,
    *_ANSWERING,
    *_EXPORTING,
    *_UPLOADING,
    *_CALLING,
    *_CONVERSING,
    *_WAITING,
    *_SENDING_FILES,
    *_RECEIVING_FILES,
)
