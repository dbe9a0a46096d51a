"""What happens next: `decide(flow, state, event) -> Decision`. Pure: no I/O, no clock, no randomness."""

from pollflow.machine.call import CallRequest, call_of
from pollflow.machine.callback import TaskTokenFields, is_awaited, may_still_reach, read_task_token, verify
from pollflow.machine.decide import IllegalEvent, begin, begin_reads_time, decide
from pollflow.machine.decision import (
    AwaitChildren,
    AwaitReport,
    Decision,
    HistoryEvent,
    MessageMetadata,
    Outcome,
    ScheduleCall,
    ScheduleStep,
    Status,
    Wake,
)
from pollflow.machine.events import (
    Arrived,
    Event,
    Joined,
    Raised,
    ReportedFailed,
    ReportedSucceeded,
    Returned,
    Submitted,
    TimedOut,
)
from pollflow.machine.inline import INLINE, ONLY_WAITS, continues_at_once, decide_inline, needs_time
from pollflow.machine.limits import Limits
from pollflow.machine.state import ROOT, ExecutionInfo, FrameState, Join, Level, ParentFrame, Phase

__all__ = [
    "INLINE",
    "ONLY_WAITS",
    "ROOT",
    "Arrived",
    "AwaitChildren",
    "AwaitReport",
    "CallRequest",
    "Decision",
    "Event",
    "ExecutionInfo",
    "FrameState",
    "HistoryEvent",
    "IllegalEvent",
    "Join",
    "Joined",
    "Level",
    "Limits",
    "MessageMetadata",
    "Outcome",
    "ParentFrame",
    "Phase",
    "Raised",
    "ReportedFailed",
    "ReportedSucceeded",
    "Returned",
    "ScheduleCall",
    "ScheduleStep",
    "Status",
    "Submitted",
    "TaskTokenFields",
    "TimedOut",
    "Wake",
    "begin",
    "begin_reads_time",
    "call_of",
    "continues_at_once",
    "decide",
    "decide_inline",
    "is_awaited",
    "may_still_reach",
    "needs_time",
    "read_task_token",
    "verify",
]
