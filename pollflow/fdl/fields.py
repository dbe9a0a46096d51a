"""The table of the language: the fields of each object with kind, whether required, and purpose.

`check.py` reads definitions by it and `schema.py` makes the JSON Schema of it, so that both say the same. What a
table cannot say (whether targets exist, which names are taken) stands in `check.py` and `targets.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

YEAR_SECONDS = 31_536_000
"""The longest wait and timeout, unless the reader is called with another limit."""
MAX_RETRY_SECONDS = 86_400
MAX_BRANCHES = 100
MAX_STEPS = 10_000
"""Of a flow, all series together."""
MAX_NAME = 128
MAX_TEXT = 4096
NAME_PATTERN = "[A-Za-z_][A-Za-z0-9_-]{0,127}"
"""Names of flows, executions and schedules."""
ACTION_PATTERN = "[A-Za-z0-9_-]+:[A-Za-z0-9_-]+"


class Kind(Enum):
    """What a field's value must be. The reader of each is in `kinds.py`."""

    ONE_OF = "one of the table's values"
    NAME = "a name of a flow"
    STEP_NAME = "a name of a step"
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
    GOTO = "a name of a step of the same series"
    ERRORS = "a list of names of errors"
    SOURCE = "a path or a constant"
    PARAMS = "an object with $ paths in it"
    SERIES = "a list of steps"
    OBJECT = "an object of a shape of the table"
    OBJECTS = "a list of objects of a shape of the table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One row. `shape` names the object (or each of the list's) for the last two kinds; numbers have a range."""

    name: str
    kind: Kind
    means: str
    required: bool = False
    values: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    shape: str = ""
    not_empty: bool = False

    @property
    def attribute(self) -> str:
        """The name in the model."""
        return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in self.name)


def _mappings(name: str, means: str) -> Field:
    return Field(name=name, kind=Kind.OBJECTS, shape="mapping", means=means)


def _errors(means: str) -> Field:
    return Field(name="errors", kind=Kind.ERRORS, required=True, means=means)


def _goto(means: str, *, required: bool = False) -> Field:
    return Field(name="goto", kind=Kind.GOTO, required=required, means=means)


INPUT = _mappings("inputMappings", "What the step's input is made of; the parent's input and local unless given.")
OUTPUT = _mappings("outputMappings", "What the step's output is made of; its local unless given.")
END = Field(name="end", kind=Kind.BOOLEAN, means="Whether the series ends after this step.")
TIMEOUT = Field(
    name="timeoutSeconds",
    kind=Kind.NUMBER,
    minimum=0.001,
    maximum=YEAR_SECONDS,
    means="A task that runs longer fails with FnF.TaskTimeout.",
)
STEPS = Field(name="steps", kind=Kind.SERIES, required=True, not_empty=True, means="Steps, one after another.")
OPTION_STEPS = Field(name="steps", kind=Kind.SERIES, means="What runs first when this option is taken.")

FLOW: tuple[Field, ...] = (
    Field(name="version", kind=Kind.ONE_OF, required=True, values=("v1", "v1beta1"), means="The language's version."),
    Field(name="type", kind=Kind.ONE_OF, required=True, values=("flow",), means="What the document holds."),
    Field(name="name", kind=Kind.NAME, means="A label."),
    STEPS,
    _mappings("inputMappings", "From the execution's input to the flow's input."),
    _mappings("outputMappings", "From the flow's input and local to the flow's output; the local unless given."),
    Field(
        name="timeoutSeconds",
        kind=Kind.INTEGER,
        minimum=1,
        maximum=YEAR_SECONDS,
        means="The execution becomes TimedOut after that long.",
    ),
)

STEP_FIELDS: dict[str, tuple[Field, ...]] = {
    "task": (
        Field(name="resourceArn", kind=Kind.ARN, means="What to call: a function, a sub-flow, a queue or topic."),
        Field(name="action", kind=Kind.ACTION, means="An operation of a cloud API, as product:Operation."),
        Field(
            name="pattern",
            kind=Kind.ONE_OF,
            values=("requestResponse", "sync", "waitForCallback"),
            means="How the step waits for what it called; requestResponse unless given.",
        ),
        TIMEOUT,
        Field(name="serviceParams", kind=Kind.PARAMS, means="Parameters of what is called; $ is the step's input."),
        Field(name="retry", kind=Kind.OBJECTS, shape="retry", means="Policies; the first that matches decides."),
        Field(name="catch", kind=Kind.OBJECTS, shape="catch", means="Where errors lead; the first match decides."),
        _mappings("errorMappings", "The step's output after a caught error, from $local.error and $local.cause."),
        INPUT,
        OUTPUT,
        END,
    ),
    "pass": (INPUT, OUTPUT, END),
    "wait": (
        Field(name="duration", kind=Kind.DURATION, means="Seconds, fractions allowed, or a $ path to them."),
        Field(name="timestamp", kind=Kind.TIMESTAMP, means="An RFC 3339 time, or a $ path to one."),
        INPUT,
        OUTPUT,
        END,
    ),
    "choice": (
        Field(name="choices", kind=Kind.OBJECTS, shape="option", means="The first whose condition holds is taken."),
        Field(name="default", kind=Kind.OBJECT, shape="default", means="Taken when no condition holds."),
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
            means="Series that run at the same time.",
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
            means="What to go through, and under which keys an iteration finds its element and position.",
        ),
        INPUT,
        OUTPUT,
        END,
    ),
    "succeed": (INPUT, OUTPUT),
    "fail": (
        Field(name="error", kind=Kind.TEXT_OR_PATH, means="The error's name."),
        Field(name="cause", kind=Kind.TEXT_OR_PATH, means="The text beside it."),
        INPUT,
        OUTPUT,
    ),
}

STEP: tuple[Field, ...] = (
    Field(name="type", kind=Kind.ONE_OF, required=True, values=tuple(STEP_FIELDS), means="The kind of step."),
    Field(name="name", kind=Kind.STEP_NAME, required=True, means="Unique within its series."),
)
"""What every step has."""

SHAPES: dict[str, tuple[Field, ...]] = {
    "mapping": (
        Field(name="target", kind=Kind.KEY, required=True, means="A key of the new object."),
        Field(
            name="source",
            kind=Kind.SOURCE,
            required=True,
            means="A path from $input, $local or $context, or else a constant.",
        ),
    ),
    "option": (
        Field(name="condition", kind=Kind.CONDITION, required=True, means="A test of the step's input, $."),
        OPTION_STEPS,
        _goto("Where to go on afterwards."),
    ),
    "default": (OPTION_STEPS, _goto("Where to go on afterwards.")),
    "branch": (STEPS,),
    "iteration": (
        Field(name="collection", kind=Kind.PATH, required=True, means="A $ path to a list in the step's input."),
        Field(name="item", kind=Kind.KEY, required=True, means="The key of the element in an iteration's input."),
        Field(name="index", kind=Kind.KEY, means="The key of its position, from 0."),
    ),
    "retry": (
        _errors("Names of errors; FnF.ALL matches every one."),
        Field(
            name="intervalSeconds",
            kind=Kind.INTEGER,
            minimum=1,
            maximum=MAX_RETRY_SECONDS,
            means="Before the first retry; 1 unless given.",
        ),
        Field(name="maxAttempts", kind=Kind.INTEGER, minimum=0, means="Retries; 3 unless given."),
        Field(name="multiplier", kind=Kind.NUMBER, minimum=1, means="Growth of the interval; 2 unless given."),
        Field(
            name="maxIntervalSeconds",
            kind=Kind.INTEGER,
            minimum=1,
            maximum=MAX_RETRY_SECONDS,
            means="Caps the interval; 86400 unless given.",
        ),
    ),
    "catch": (
        _errors("Names of errors; FnF.ALL matches every one."),
        _goto("A step of the task's own series.", required=True),
    ),
}

EXACTLY_ONE: dict[str, tuple[str, str]] = {"task": ("resourceArn", "action"), "wait": ("duration", "timestamp")}
"""Fields of which a step of that type has one and not both."""
AT_LEAST_ONE: dict[str, tuple[str, str]] = {"choice": ("choices", "default")}
"""Fields of which a step of that type has one or both."""
