"""Flow tests in virtual time, where an hour of polling takes milliseconds. See `docs/testing.md`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pollflow.lazy import exports

if TYPE_CHECKING:
    from pollflow.testing.cases import Case, load_cases
    from pollflow.testing.drawing import draw
    from pollflow.testing.flows import run_flow
    from pollflow.testing.replies import Reply
    from pollflow.testing.report import FlowTestReport, Verdict
    from pollflow.testing.result import CallMade, RunResult
    from pollflow.testing.running import run_paths
    from pollflow.testing.stimuli import ReportFailed, ReportSucceeded, Stop
    from pollflow.testing.virtual import VirtualRun
else:
    __getattr__ = exports(
        __name__,
        {
            "cases": ("Case", "load_cases"),
            "drawing": ("draw",),
            "flows": ("run_flow",),
            "replies": ("Reply",),
            "report": ("FlowTestReport", "Verdict"),
            "result": ("CallMade", "RunResult"),
            "running": ("run_paths",),
            "stimuli": ("ReportFailed", "ReportSucceeded", "Stop"),
            "virtual": ("VirtualRun",),
        },
    )

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
