"""The user's Python functions: those that a model can call, declared from signature and docstring, and transforms."""

from batchrun.spec.functions.function import ArgumentProblem, Function
from batchrun.spec.functions.loading import Transform, load_functions, load_transform

__all__ = ["ArgumentProblem", "Function", "Transform", "load_functions", "load_transform"]
