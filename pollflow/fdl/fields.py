"""The table of the language: the fields of each object, with kind, purpose, and whether they are required.

`check.py` reads definitions by this table and `schema.py` derives the JSON Schema from it, so both agree. Rules that do
not fit a table (existing targets, unique names) are in `check.py` and `targets.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

YEAR_SECONDS = 31_536_000
"""The limit of timeouts, and the default limit of waits and of the setting `pollflow_max_wait`."""
EVENT_LIMIT = 250_000
"""The default limit of events of one execution, which is the default of the setting `pollflow_max_events`."""
MAX_RETRY_SECONDS = 86_400
MAX_BRANCHES = 100
MAX_STEPS = 10_000
"""The limit of a flow, with all its series."""
MAX_NAME = 128
MAX_TEXT = 4096
NAME_PATTERN = "[A-Za-z_][A-Za-z0-9_-]{0,127}"
"""Names of flows, executions and schedules."""
ACTION_PATTERN = "[A-Za-z0-9_-]+:[A-Za-z0-9_-]+"


class Kind(Enum):
    """The kind of a field's value. `kinds.py` has a reader for each."""

    ONE_OF = "one of the values in the table"
    NAME = "the name of a flow"
    STEP_NAME = "the name of a step"
    KEY = "a key of an object"
    TEXT_OR_PATH = "a text, or a $ path"
    BOOLEAN = "true or false"
    INTEGER = "a whole number"
    NUMBER = "a number"
    DURATION = "a number of seconds, or a $ path"
    TIMESTAMP = "a time, or a $ path"
    PATH = "a $ path"
    CONDITION = "a condition"
    ARN = "the name of a resource"
    ACTION = "product:Operation"
    GOTO = "the name of a step of the same series"
    ERRORS = "a list of error names"
    SOURCE = "a path or a constant"
    PARAMS = "an object that may contain $ paths"
    SERIES = "a list of steps"
    OBJECT = "an object of one of the shapes"
    OBJECTS = "a list of objects of one of the shapes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One row. `shape` names the shape of the object or objects; `minimum` and `maximum` limit a number."""

    name: str
    kind: Kind
    description: str
    required: bool = False
    values: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    shape: str = ""
    not_empty: bool = False

    @property
    def is_seconds(self) -> bool:
        """Whether the number is a duration in seconds."""
        return self.kind is Kind.DURATION or self.name.endswith("Seconds")

    @property
    def attribute(self) -> str:
        """The name in the model."""
        return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in self.name)


def _mappings(name: str, description: str) -> Field:
    return Field(name=name, kind=Kind.OBJECTS, shape="mapping", description=description)


def _errors(description: str) -> Field:
    return Field(name="errors", kind=Kind.ERRORS, required=True, description=description)


def _goto(description: str, *, required: bool = False) -> Field:
    return Field(name="goto", kind=Kind.GOTO, required=required, description=description)


INPUT = _mappings("inputMappings", "Mappings to the step's input; by default it is the parent's input and local.")
OUTPUT = _mappings("outputMappings", "Mappings to the step's output; by default it is the step's local.")
END = Field(name="end", kind=Kind.BOOLEAN, description="Whether the series ends after this step.")
TIMEOUT = Field(
    name="timeoutSeconds",
    kind=Kind.NUMBER,
    minimum=0.001,
    maximum=YEAR_SECONDS,
    description="Seconds after which an attempt fails with FnF.TaskTimeout.",
)
STEPS = Field(
    name="steps", kind=Kind.SERIES, required=True, not_empty=True, description="Steps that run one after another."
)
OPTION_STEPS = Field(name="steps", kind=Kind.SERIES, description="Steps that run when this option is taken.")

FLOW: tuple[Field, ...] = (
    Field(
        name="version", kind=Kind.ONE_OF, required=True, values=("v1", "v1beta1"), description="The language's version."
    ),
    Field(name="type", kind=Kind.ONE_OF, required=True, values=("flow",), description="The type of the document."),
    Field(name="name", kind=Kind.NAME, description="A label."),
    STEPS,
    _mappings("inputMappings", "Mappings from the execution's input to the flow's input."),
    _mappings("outputMappings", "Mappings to the flow's output; by default it is the flow's local."),
    Field(
        name="timeoutSeconds",
        kind=Kind.INTEGER,
        minimum=1,
        maximum=YEAR_SECONDS,
        description="Seconds after which the execution becomes TimedOut.",
    ),
    Field(
        name="inlineSteps",
        kind=Kind.BOOLEAN,
        description="pollflow only: whether steps that call nothing run in the Celery task of the step before them; "
        "by default as the setting pollflow_inline_steps says.",
    ),
)

STEP_FIELDS: dict[str, tuple[Field, ...]] = {
    "task": (
        Field(
            name="resourceArn",
            kind=Kind.ARN,
            description="The resource to call: a function, a sub-flow, a queue or a topic.",
        ),
        Field(name="action", kind=Kind.ACTION, description="An operation of a cloud API, as product:Operation."),
        Field(
            name="pattern",
            kind=Kind.ONE_OF,
            values=("requestResponse", "sync", "waitForCallback"),
            description="How the step waits for the result of its call; requestResponse by default.",
        ),
        TIMEOUT,
        Field(name="serviceParams", kind=Kind.PARAMS, description="Parameters of the call; $ is the step's input."),
        Field(
            name="retry",
            kind=Kind.OBJECTS,
            shape="retry",
            description="Retry policies; the first that matches decides.",
        ),
        Field(
            name="catch",
            kind=Kind.OBJECTS,
            shape="catch",
            description="Gotos after errors; the first that matches decides.",
        ),
        _mappings("errorMappings", "The step's output after a caught error, from $local.error and $local.cause."),
        INPUT,
        OUTPUT,
        END,
    ),
    "pass": (INPUT, OUTPUT, END),
    "wait": (
        Field(name="duration", kind=Kind.DURATION, description="Seconds, fractions allowed, or a $ path to them."),
        Field(name="timestamp", kind=Kind.TIMESTAMP, description="An RFC 3339 time, or a $ path to one."),
        INPUT,
        OUTPUT,
        END,
    ),
    "choice": (
        Field(
            name="choices",
            kind=Kind.OBJECTS,
            shape="option",
            description="Options; the first whose condition holds is taken.",
        ),
        Field(
            name="default",
            kind=Kind.OBJECT,
            shape="default",
            description="The option that is taken if no condition holds.",
        ),
        INPUT,
        OUTPUT,
        END,
    ),
    "parallel": (
        Field(
            name="branches",
            kind=Kind.OBJECTS,
            shape="branch",
            required=True,
            not_empty=True,
            maximum=MAX_BRANCHES,
            description="Series that run at the same time.",
        ),
        INPUT,
        OUTPUT,
        END,
    ),
    "foreach": (
        STEPS,
        Field(
            name="iterationMapping",
            kind=Kind.OBJECT,
            shape="iteration",
            required=True,
            description="The list, and the keys of its element and position in the input of an iteration.",
        ),
        INPUT,
        OUTPUT,
        END,
    ),
    "succeed": (INPUT, OUTPUT),
    "fail": (
        Field(name="error", kind=Kind.TEXT_OR_PATH, description="The error's name."),
        Field(name="cause", kind=Kind.TEXT_OR_PATH, description="The description of the error."),
        INPUT,
        OUTPUT,
    ),
}

STEP: tuple[Field, ...] = (
    Field(name="type", kind=Kind.ONE_OF, required=True, values=tuple(STEP_FIELDS), description="The kind of step."),
    Field(name="name", kind=Kind.STEP_NAME, required=True, description="Unique within its series."),
)
"""The fields of every step."""

SHAPES: dict[str, tuple[Field, ...]] = {
    "mapping": (
        Field(name="target", kind=Kind.KEY, required=True, description="A key of the new object."),
        Field(
            name="source",
            kind=Kind.SOURCE,
            required=True,
            description="A path that starts with $input, $local or $context, or a constant.",
        ),
    ),
    "option": (
        Field(name="condition", kind=Kind.CONDITION, required=True, description="A test of the step's input, $."),
        OPTION_STEPS,
        _goto("The step that follows the option."),
    ),
    "default": (OPTION_STEPS, _goto("The step that follows the option.")),
    "branch": (STEPS,),
    "iteration": (
        Field(name="collection", kind=Kind.PATH, required=True, description="A $ path to a list in the step's input."),
        Field(name="item", kind=Kind.KEY, required=True, description="The key of the element in an iteration's input."),
        Field(name="index", kind=Kind.KEY, description="The key of its position, from 0."),
    ),
    "retry": (
        _errors("Error names; FnF.ALL matches every error."),
        Field(
            name="intervalSeconds",
            kind=Kind.INTEGER,
            minimum=1,
            maximum=MAX_RETRY_SECONDS,
            description="Seconds before the first retry; 1 by default.",
        ),
        Field(name="maxAttempts", kind=Kind.INTEGER, minimum=0, description="The number of retries; 3 by default."),
        Field(
            name="multiplier",
            kind=Kind.NUMBER,
            minimum=1,
            description="The factor by which the interval grows; 2 by default.",
        ),
        Field(
            name="maxIntervalSeconds",
            kind=Kind.INTEGER,
            minimum=1,
            maximum=MAX_RETRY_SECONDS,
            description="The longest interval in seconds; 86400 by default.",
        ),
    ),
    "catch": (
        _errors("Error names; FnF.ALL matches every error."),
        _goto("A step of the task's own series.", required=True),
    ),
}

EXACTLY_ONE: dict[str, tuple[str, str]] = {"task": ("resourceArn", "action"), "wait": ("duration", "timestamp")}
"""Pairs of fields of which a step of that type must have exactly one."""
AT_LEAST_ONE: dict[str, tuple[str, str]] = {"choice": ("choices", "default")}
"""Pairs of fields of which a step of that type must have at least one."""
