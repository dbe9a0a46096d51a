"""The model of a checked flow: immutable values with compiled expressions. See `docs/fdl.md`.

Every value is valid: `read_flow` makes these values only from a definition without errors. A *series*
is one `steps` list: the flow's, a branch's, an iteration's or a choice option's.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingABC
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from pollflow.fdl.expr import Condition, Path

Json: TypeAlias = Any
"""A JSON value. `Any`, since Python's types cannot say it recursively without casts at every use."""
JsonObject: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Constant:
    """A mapping's source, or a service parameter, that is used unchanged."""

    value: Json


@dataclass(frozen=True, slots=True)
class Mapping:
    """`{target, source}`: one key of a new object, and where its value comes from."""

    target: str
    source: Path | Constant


Mappings: TypeAlias = tuple[Mapping, ...]


class Pattern(str, Enum):
    """How a task step waits for what it called."""

    REQUEST_RESPONSE = "requestResponse"
    SYNC = "sync"
    WAIT_FOR_CALLBACK = "waitForCallback"


@dataclass(frozen=True, slots=True)
class FunctionResource:
    """A function of Function Compute: `acs:fc:REGION:ACCOUNT:services/SERVICE[.QUALIFIER]/functions/FUNCTION`."""

    arn: str
    service: str
    function: str


@dataclass(frozen=True, slots=True)
class FlowResource:
    """A sub-flow: `acs:fnf:REGION:ACCOUNT:flow/NAME`, or `action: fnf:StartExecution` (then `name` is None)."""

    arn: str
    name: str | None


@dataclass(frozen=True, slots=True)
class ServiceResource:
    """An `action`, an MNS ARN or any other ARN: called if a function is registered under it.

    `takes_params`: whether it is called with its `serviceParams` (actions, MNS) or with the step's input.
    """

    arn: str
    takes_params: bool


Resource: TypeAlias = FunctionResource | FlowResource | ServiceResource


@dataclass(frozen=True, slots=True)
class Retry:
    """A retry policy. Intervals are seconds; `max_attempts` counts retries, not calls."""

    errors: tuple[str, ...]
    interval_seconds: float = 1
    max_attempts: int = 3
    multiplier: float = 2
    max_interval_seconds: float = 86_400


@dataclass(frozen=True, slots=True)
class Catch:
    """Where to go on after an error of one of these names."""

    errors: tuple[str, ...]
    goto: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The fields of every step. `path` is its place in the document, such as `steps[2].choices[0].steps[1]`."""

    name: str
    path: str
    line: int = 0
    """1-based line of the step in the definition's text."""
    column: int = 0
    end: bool = False
    input_mappings: Mappings | None = None
    output_mappings: Mappings | None = None

    @property
    def type(self) -> str:
        """The step's type as the language spells it."""
        return STEP_TYPES[type(self)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStep(Step):
    """Calls a function, a sub-flow or a service."""

    resource: Resource
    pattern: Pattern = Pattern.REQUEST_RESPONSE
    timeout_seconds: float | None = None
    service_params: Json = None
    """As parsed from YAML, but each string that is a `$` path is a `Path`; None without `serviceParams`."""
    retry: tuple[Retry, ...] = ()
    catch: tuple[Catch, ...] = ()
    error_mappings: Mappings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PassStep(Step):
    """Nothing but mappings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitStep(Step):
    """Waits. Exactly one of the two is set; a timestamp constant is epoch seconds in UTC."""

    duration: Path | float | None = None
    timestamp: Path | float | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """One way out of a choice; `condition` is None for the default."""

    condition: Condition | None
    steps: Series | None
    goto: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceStep(Step):
    """Takes the first option whose condition holds."""

    choices: tuple[Option, ...] = ()
    default: Option | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelStep(Step):
    """Runs its branches at the same time."""

    branches: tuple[Series, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeachStep(Step):
    """Runs its steps once for each element of a list."""

    steps: Series
    collection: Path
    item: str
    index: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SucceedStep(Step):
    """Ends its series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailStep(Step):
    """Fails its parent."""

    error: Path | str = ""
    cause: Path | str = ""


STEP_TYPES: dict[type[Step], str] = {
    TaskStep: "task",
    PassStep: "pass",
    WaitStep: "wait",
    ChoiceStep: "choice",
    ParallelStep: "parallel",
    ForeachStep: "foreach",
    SucceedStep: "succeed",
    FailStep: "fail",
}


@dataclass(frozen=True, slots=True)
class StepPosition:
    """A step of a flow: the path of its series and its position there."""

    series: str
    position: int


@dataclass(frozen=True, slots=True)
class Series:
    """Steps that run one after another. `path` is its place, such as `steps` or `steps[2].branches[0].steps`.

    `owner` is the step that the series belongs to; None for the flow's own.
    """

    path: str
    steps: tuple[Step, ...]
    owner: StepPosition | None = None

    def position(self, name: str) -> int:
        """Where the step of that name stands. A checked flow's targets always exist."""
        for position, step in enumerate(self.steps):
            if step.name == name:
                return position
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Flow:
    """A checked flow.

    `series` holds every series of the flow under its path; `digest` is the SHA-256 of `text` in hex, by which
    a definition is pinned; `looping` has the steps that can be visited more than once within a frame.
    """

    steps: Series
    series: MappingABC[str, Series]
    text: str
    digest: str
    looping: frozenset[StepPosition] = frozenset()
    name: str | None = None
    input_mappings: Mappings | None = None
    output_mappings: Mappings | None = None
    timeout_seconds: float | None = None

    def owner_of(self, series: str) -> Step | None:
        """Return the step that a series belongs to; None for the flow's own."""
        owner = self.series[series].owner
        return None if owner is None else self.series[owner.series].steps[owner.position]

    @property
    def uses_event_ids(self) -> bool:
        """Whether a mapping may read `$context.step.eventId`, which depends on the number of events so far."""
        return "eventId" in self.text
