"""What a run of a job of stages would do: found by taking its rows into a copy of the checkpoint, which is thrown away.

So it is the very code of a run that decides what is new, what stays and what is asked anew. Rows that follow from others
which have yet to end are not known; of some it can be said how many there are at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from batchrun.clock import wall_clock
from batchrun.engine.media import Libraries
from batchrun.errors import RowError, SpecError
from batchrun.reports.standing import standing_of
from batchrun.runs.directory import RunDir, remember, require_job
from batchrun.runs.forecast import Forecast, forecast
from batchrun.runs.intake import stage_changes
from batchrun.runs.pipeline import shown_of
from batchrun.spec.load import Job
from batchrun.store.reader import Reader
from batchrun.store.records import RowRecord
from batchrun.store.store import Store
