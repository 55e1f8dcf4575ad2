"""The user's Python functions, as a model can call them: declared from signature and docstring."""

from batchrun.spec.functions.function import Function
from batchrun.spec.functions.loading import load_functions

__all__ = ["Function", "load_functions"]
