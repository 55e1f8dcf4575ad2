"""The user's Python functions, as a model can call them: declared from signature and docstring."""

from batchrun.spec.functions.function import ArgumentProblem, Function
from batchrun.spec.functions.loading import load_functions

__all__ = ["ArgumentProblem", "Function", "load_functions"]
