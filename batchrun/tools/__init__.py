"""The user's Python functions, as a model can call them: declared from signature and docstring, run with care."""

from batchrun.tools.results import ToolResult
from batchrun.tools.toolbox import Toolbox, load_toolbox

__all__ = ["ToolResult", "Toolbox", "load_toolbox"]
