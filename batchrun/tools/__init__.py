"""Runs the user's Python functions for the model, with care."""

from batchrun.tools.results import ToolResult
from batchrun.tools.toolbox import Toolbox

__all__ = ["ToolResult", "Toolbox"]
