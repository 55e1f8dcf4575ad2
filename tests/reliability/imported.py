"""What a run imports on its way, imported at once."""

import batchrun.cli
import batchrun.cli.ending
import batchrun.cli.progress
import batchrun.emulator
import batchrun.runs
import batchrun.uploaded  # noqa: F401
