"""Floor 0: what a flow is. YAML text to a checked, immutable model; expressions compiled once. See `docs/fdl.md`."""

from pollflow.fdl.definition import NO_FILE, load_flow, read_flow, read_yaml
from pollflow.fdl.lint import LINT_CODES, lint
from pollflow.fdl.model import (
    Catch,
    ChoiceStep,
    Constant,
    FailStep,
    Flow,
    FlowResource,
    ForeachStep,
    FunctionResource,
    Mapping,
    Option,
    ParallelStep,
    PassStep,
    Pattern,
    Resource,
    Retry,
    Series,
    ServiceResource,
    Step,
    SucceedStep,
    TaskStep,
    WaitStep,
)
from pollflow.fdl.moments import parse_moment
from pollflow.fdl.problems import MAX_PROBLEMS, Problem
from pollflow.fdl.schema import json_schema

__all__ = [
    "LINT_CODES",
    "MAX_PROBLEMS",
    "NO_FILE",
    "Catch",
    "ChoiceStep",
    "Constant",
    "FailStep",
    "Flow",
    "FlowResource",
    "ForeachStep",
    "FunctionResource",
    "Mapping",
    "Option",
    "ParallelStep",
    "PassStep",
    "Pattern",
    "Problem",
    "Resource",
    "Retry",
    "Series",
    "ServiceResource",
    "Step",
    "SucceedStep",
    "TaskStep",
    "WaitStep",
    "json_schema",
    "lint",
    "load_flow",
    "parse_moment",
    "read_flow",
    "read_yaml",
]
