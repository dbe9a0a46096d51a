"""What happens next: `decide(flow, state, event) -> Decision`. Pure: no I/O, no clock, no randomness."""

from pollflow.machine.call import CallRequest, call_of
from pollflow.machine.callback import TokenAddress, is_awaited, is_to_come, read_task_token, verify
from pollflow.machine.decide import IllegalEvent, begin, decide
from pollflow.machine.decision import (
    Call,
    Children,
    Decision,
    Hint,
    HistoryEvent,
    Message,
    Outcome,
    Report,
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
from pollflow.machine.state import ROOT, About, FrameState, Join, Level, Phase
from pollflow.machine.walk import Limits

__all__ = [
    "ROOT",
    "About",
    "Arrived",
    "Call",
    "CallRequest",
    "Children",
    "Decision",
    "Event",
    "FrameState",
    "Hint",
    "HistoryEvent",
    "IllegalEvent",
    "Join",
    "Joined",
    "Level",
    "Limits",
    "Message",
    "Outcome",
    "Phase",
    "Raised",
    "Report",
    "ReportedFailed",
    "ReportedSucceeded",
    "Returned",
    "Status",
    "Submitted",
    "TimedOut",
    "TokenAddress",
    "Wake",
    "begin",
    "call_of",
    "decide",
    "is_awaited",
    "is_to_come",
    "read_task_token",
    "verify",
]
