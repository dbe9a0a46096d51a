"""Paths and conditions: a closed grammar, compiled once, evaluated without side effects.

`Path` reads a value from roots (`$input.a[0]`, or `$.a` where `$` alone is a step's input); `Condition` is a
choice's test. Neither can call, import or change anything.
"""

from pollflow.fdl.expr.condition import Condition, compile_condition, paths_in
from pollflow.fdl.expr.path import MISSING, Missing, Path, compile_path
from pollflow.fdl.expr.syntax import ExpressionError, ExpressionSyntaxError
from pollflow.fdl.expr.values import Work

__all__ = [
    "MISSING",
    "Condition",
    "ExpressionError",
    "ExpressionSyntaxError",
    "Missing",
    "Path",
    "Work",
    "compile_condition",
    "compile_path",
    "paths_in",
]
