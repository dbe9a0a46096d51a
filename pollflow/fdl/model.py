"""The model of a checked flow: immutable values with compiled expressions. See `docs/fdl.md`.

Every value is valid: `read_flow` makes these values only from a definition without errors. A *series*
is one `steps` list: the flow's, a branch's, an iteration's or a choice option's.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingABC
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, TypeAlias, get_args

from pollflow.fdl.expr import Condition, Path

Json: TypeAlias = Any
"""A JSON value. `Any`, since a recursive type needs casts at every use."""
JsonObject: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Constant:
    """A mapping's source, or a service parameter, that is used unchanged."""

    value: Json


@dataclass(frozen=True, slots=True)
class Mapping:
    """`{target, source}`: one key of a new object, and the source of its value."""

    target: str
    source: Path | Constant


Mappings: TypeAlias = tuple[Mapping, ...]


class Pattern(str, Enum):
    """How a task step waits for the result of its call."""

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
    """A sub-flow: `acs:fnf:REGION:ACCOUNT:flow/NAME`, or `action: fnf:StartExecution`, where `name` is None."""

    arn: str
    name: str | None


@dataclass(frozen=True, slots=True)
class ServiceResource:
    """An `action`, an MNS ARN or any other ARN. It stands for the function that is registered under it.

    With `takes_params` (actions, MNS) the function receives the `serviceParams`, otherwise the step's input.
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
    """The step that follows an error of one of these names."""

    errors: tuple[str, ...]
    goto: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseStep:
    """The fields of every step. `path` is its path in the document, such as `steps[2].choices[0].steps[1]`."""

    type: ClassVar[str]
    """The step type, as definitions spell it."""
    name: str
    path: str
    line: int = 0
    """1-based line of the step in the definition's text."""
    column: int = 0
    end: bool = False
    input_mappings: Mappings | None = None
    output_mappings: Mappings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStep(BaseStep):
    """Calls a function, a sub-flow or a service."""

    type = "task"

    resource: Resource
    pattern: Pattern = Pattern.REQUEST_RESPONSE
    timeout_seconds: float | None = None
    service_params: Json = None
    """The parsed YAML, where each text that is a `$` path is a `Path`; None without `serviceParams`."""
    retry: tuple[Retry, ...] = ()
    catch: tuple[Catch, ...] = ()
    error_mappings: Mappings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PassStep(BaseStep):
    """Applies its mappings."""

    type = "pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitStep(BaseStep):
    """Waits. Exactly one of the two fields is set; a constant timestamp is in epoch seconds."""

    type = "wait"

    duration: Path | float | None = None
    timestamp: Path | float | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a choice; `condition` is None for the default."""

    condition: Condition | None
    steps: Series | None
    goto: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceStep(BaseStep):
    """Takes the first option whose condition holds."""

    type = "choice"

    choices: tuple[Option, ...] = ()
    default: Option | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelStep(BaseStep):
    """Runs its branches at the same time."""

    type = "parallel"

    branches: tuple[Series, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeachStep(BaseStep):
    """Runs its steps once for each element of a list."""

    type = "foreach"

    steps: Series
    collection: Path
    item: str
    index: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SucceedStep(BaseStep):
    """Ends its series."""

    type = "succeed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailStep(BaseStep):
    """Fails its parent."""

    type = "fail"

    error: Path | str = ""
    cause: Path | str = ""


Step: TypeAlias = TaskStep | PassStep | WaitStep | ChoiceStep | ParallelStep | ForeachStep | SucceedStep | FailStep
"""Any step. A closed union, so that mypy reports each `match` that lacks a step type."""
MapStep: TypeAlias = ParallelStep | ForeachStep
"""A step that runs children."""

STEP_TYPES: dict[type[Step], str] = {step_class: step_class.type for step_class in get_args(Step)}
"""The name of each step type, by its class."""


@dataclass(frozen=True, slots=True)
class StepPosition:
    """A step of a flow: the path of its series and its position there."""

    series: str
    position: int


@dataclass(frozen=True, slots=True)
class Series:
    """Steps that run one after another. `path` is their path, such as `steps` or `steps[2].branches[0].steps`.

    `owner` is the step that the series belongs to; None for the flow's own.
    """

    path: str
    steps: tuple[Step, ...]
    owner: StepPosition | None = None

    def position(self, name: str) -> int:
        """Return the position of the step of that name. In a checked flow, the targets of gotos exist."""
        for position, step in enumerate(self.steps):
            if step.name == name:
                return position
        raise KeyError(name)

    def next_position(self, position: int, goto: str | None = None) -> int | None:
        """Return the position entered after the step at `position`; None if the series ends. A goto comes first."""
        if goto is not None:
            return self.position(goto)
        step = self.steps[position]
        if step.end or isinstance(step, SucceedStep) or position + 1 == len(self.steps):
            return None
        return position + 1


@dataclass(frozen=True, slots=True)
class Flow:
    """A checked flow.

    `series` holds every series of the flow under its path; `digest` is the SHA-256 of `text` in hex, which
    identifies the definition of an execution; `looping` has the steps that can be visited more than once in a frame.
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
    inline_steps: bool | None = None
    """Whether steps that call nothing run in the task of the step before them; None: as the settings say."""

    def owner_of(self, series: str) -> Step | None:
        """Return the step that a series belongs to; None for the flow's own."""
        owner = self.series[series].owner
        return None if owner is None else self.series[owner.series].steps[owner.position]

    @property
    def uses_event_ids(self) -> bool:
        """Whether a mapping may read `$context.step.eventId`, which depends on the number of events so far."""
        return "eventId" in self.text
