"""The state of a frame, as immutable values.

A frame runs the steps of one series after another: the flow, a branch or an iteration. Inside it, a choice's option
is a further *level*. A step's input is derived from these values and never stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from pollflow.fdl.model import JsonObject

ROOT = "r"
"""The frame of the flow itself."""


class Phase(str, Enum):
    """The event that the current entry waits for."""

    READY = "ready"
    """Its message: the step has been entered."""
    WAITING = "waiting"
    """A wait's end."""
    RETRYING = "retrying"
    """The next attempt of a call."""
    CALLBACK = "callback"
    """A report by the task token, or the end of a sub-flow."""
    JOINING = "joining"
    """The end of its branches or iterations."""


@dataclass(frozen=True, slots=True)
class Level:
    """A series in progress: its path in the flow, the position visited, the local of the series' parent.

    `entered` is the id of the StepEntered event of the step visited.
    """

    series: str
    step: int
    local: JsonObject
    entered: int = 0


@dataclass(frozen=True, slots=True)
class ExecutionInfo:
    """The facts of an execution that its frames need; stored once, with the execution.

    `events` is the number of history events so far, `started_at` epoch seconds, `secret` the key that signs its task
    tokens.
    """

    flow_name: str
    execution_name: str
    execution_id: str
    started_at: float
    secret: str
    events: int = 0
    incarnation: int = 1


@dataclass(frozen=True, slots=True)
class ParentFrame:
    """The parent of a branch or iteration: its frame, the entry that started the child, and the index of the child."""

    frame: str
    entry: int
    index: int

    @property
    def child(self) -> str:
        """The name of the child's frame: `r.3.0` is child 0 of the frame `r` at its entry 3."""
        return f"{self.frame}.{self.entry}.{self.index}"

    @classmethod
    def of(cls, child: str) -> ParentFrame | None:
        """Return the parent by the name of a frame whose state is not at hand; None for the frame of the flow."""
        if child == ROOT:
            return None
        frame, entry, index = child.rsplit(".", 2)
        return cls(frame, int(entry), int(index))


@dataclass(frozen=True, slots=True)
class FrameState:
    """The state of one frame. `levels` is never empty; the last one holds the current step.

    `entry` counts the frame's visits of all steps, `visits` those of each step in a loop, by its path. `attempt` counts
    the calls of the current visit from 1, `retries` the retries by each policy.
    """

    frame: str
    input: JsonObject
    levels: tuple[Level, ...]
    entry: int = 1
    visits: Mapping[str, int] = field(default_factory=dict)
    phase: Phase = Phase.READY
    attempt: int = 1
    retries: tuple[int, ...] = ()
    last_error: str = ""
    """The error name of the previous attempt; empty in the first attempt."""
    parent: ParentFrame | None = None
    """None for the frame of the flow itself."""

    @property
    def step_path(self) -> str:
        """The path of the current step; different steps have different paths."""
        level = self.levels[-1]
        return f"{level.series}@{level.step}"

    @property
    def visit(self) -> int:
        """The number of the current visit among those of its step in this frame, from 1."""
        return self.visits.get(self.step_path, 1)

    def with_visit(self) -> FrameState:
        """Return the state with one more visit of the current step."""
        path = self.step_path
        return replace(self, visits={**self.visits, path: self.visits.get(path, 0) + 1})


@dataclass(frozen=True, slots=True)
class Join:
    """The progress of the children of a map step; stored beside its state because children change it.

    Children are made in the order of their index: `made` of `total` so far, `ended` of those have ended.
    """

    total: int
    made: int
    ended: int

    @property
    def open(self) -> int:
        """The number of children that run now."""
        return self.made - self.ended
