"""Flow tests in virtual time, where an hour of polling takes milliseconds. See `docs/testing.md`."""

from pollflow.testing.cases import Case, load_cases
from pollflow.testing.drawing import draw
from pollflow.testing.flows import run_flow
from pollflow.testing.replies import Reply
from pollflow.testing.report import FlowTestReport, Verdict
from pollflow.testing.result import CallMade, RunResult
from pollflow.testing.running import run_paths
from pollflow.testing.stimuli import ReportFailed, ReportSucceeded, Stop
from pollflow.testing.virtual import VirtualRun

__all__ = [
    "CallMade",
    "Case",
    "FlowTestReport",
    "Reply",
    "ReportFailed",
    "ReportSucceeded",
    "RunResult",
    "Stop",
    "Verdict",
    "VirtualRun",
    "draw",
    "load_cases",
    "run_flow",
    "run_paths",
]
