"""Flow test files: a flow, and cases with the replies of functions and the expected result. See `docs/testing.md`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any, TypeVar

from pollflow.errors import InvalidArgument, TaskError
from pollflow.fdl import Flow, read_flow
from pollflow.fdl.encoding import NotUtf8, decoded
from pollflow.fdl.files import read_file
from pollflow.fdl.model import Json, JsonObject
from pollflow.fdl.reader import MAX_BYTES, Node, Object, Scalar, read_nodes, to_json
from pollflow.machine import Limits, Status
from pollflow.runtime import arguments
from pollflow.testing.document import Value, read_all, read_document
from pollflow.testing.replies import Reply
from pollflow.testing.stimuli import ReportFailed, ReportSucceeded, Stimulus, Stop

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Definition:
    """A definition as text, with the path that its problems show. `name` is the flow's name in the run."""

    text: str
    path: str
    name: str | None = None

    def read(self) -> Flow:
        """Return the flow. Raises DefinitionError."""
        return read_flow(self.text, path=self.path)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A problem that a refused definition must have: its line, a part of its message, its code."""

    line: int
    message_contains: str = ""
    code: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorExpected:
    """The expected error of an execution. None allows any value."""

    error: str | None = None
    cause: str | None = None
    cause_contains: str | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected result of a run. None allows any value."""

    status: Status | None = None
    output: Json = None
    output_given: bool = False
    output_contains: JsonObject | None = None
    error: ErrorExpected | None = None
    seconds: float | None = None
    steps: tuple[str, ...] | None = None
    visits: Mapping[str, int] | None = None
    calls: Mapping[str, list[Json]] | None = None
    refused: int | None = None
    invalid: tuple[Refusal, ...] | None = None

    @property
    def needs_run(self) -> bool:
        """Whether the case has expectations that only a run can meet."""
        expected = [
            getattr(self, known.name) for known in fields_of(self) if known.name not in ("invalid", "output_given")
        ]
        return self.output_given or any(value is not None for value in expected)


@dataclass(frozen=True, slots=True)
class Case:
    """One case: a run of the flow and its expected result. `lint` has the expected warning codes; None allows any."""

    name: str
    path: str
    line: int
    definition: Definition
    input: JsonObject = field(default_factory=dict)
    functions: Mapping[str, tuple[Reply, ...]] = field(default_factory=dict)
    flows: Mapping[str, Definition] = field(default_factory=dict)
    stimuli: tuple[Stimulus, ...] = ()
    limits: Limits = field(default_factory=Limits)
    until: float | None = None
    expected: Expected = field(default_factory=Expected)
    lint: tuple[str, ...] | None = None


def load_cases(path: str | os.PathLike[str]) -> list[Case]:
    """Return the cases of a file. Raises InvalidArgument if it cannot be read, DefinitionError if it is invalid."""
    name = os.fspath(arguments.path("path", path))
    text = read_text(Path(path), name)
    root = read_document(text, name)
    fields = root.read(
        {
            "flow": _from_file,
            "definition": lambda value: _inline(value, text),
            "flows": _named(lambda value: _other_flow(value, text)),
            "cases": _cases,
        },
        ("flow", "definition"),
        ("cases",),
    )
    definition = fields[root.one_of(fields, "flow", "definition")]
    return [_case(value, case, definition, fields.get("flows", {})) for value, case in fields["cases"]]


def load_script(path: str | os.PathLike[str]) -> tuple[dict[str, tuple[Reply, ...]], tuple[Stimulus, ...]]:
    """Return replies and stimuli from a file with `functions` and `at`. Raises what `load_cases` raises."""
    name = os.fspath(path)
    fields = read_document(read_text(Path(path), name), name).read({key: _CASE[key] for key in ("functions", "at")})
    return fields.get("functions", {}), fields.get("at", ())


def read_text(path: Path, name: str, *, may_be_pipe: bool = True) -> str:
    """Return the text of a file. Raises InvalidArgument. `may_be_pipe` as in `read_file`."""
    try:
        return decoded(read_file(path, MAX_BYTES, may_be_pipe=may_be_pipe))
    except FileNotFoundError:
        raise InvalidArgument(f"{name}: does not exist") from None
    except NotUtf8 as error:
        raise InvalidArgument(f"{name}:{error.line}: {error.message}") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InvalidArgument(f"{name}: cannot be read: {reason}") from error


def _json(value: Value) -> Json:
    return value.json


def _from_file(value: Value) -> Definition:
    path = Path(value.path).parent / value.text()
    try:
        text = read_text(path, os.fspath(path), may_be_pipe=False)
    except InvalidArgument as error:
        value.refuse(str(error))
    return Definition(text, os.fspath(path), path.name.split(".")[0])


def _other_flow(value: Value, text: str) -> Definition:
    if isinstance(value.node, Scalar) and "\n" not in value.node.text:
        return _from_file(value)
    return _inline(value, text)


def _inline(value: Value, text: str) -> Definition:
    """Return a definition inside the file: a block of text, or an object, whose own text is used."""
    path = f"{value.path} ({value.field})"
    if isinstance(value.node, Scalar):
        return Definition(value.text(), path, _name_in(value.node.text, path))
    if not isinstance(value.node, Object):
        value.refuse("must be a flow, as an object or as a block of text")
    block = _cut_out(value.node, text)
    return Definition(block, path, _name_in(block, path))


def _cut_out(node: Object, text: str) -> str:
    """Return the text of the object, which keeps its spelling; JSON if it shares a line with other fields."""
    lines = text.split("\n")[node.line - 1 :]
    margin = node.column - 1
    kept = []
    for line in lines:
        if line.strip() and not line.startswith("#") and len(line) - len(line.lstrip()) < margin:
            break
        kept.append(line[margin:])
    block = "\n".join(kept) + "\n"
    copy, problems = read_nodes(block, "")
    if copy is not None and not problems and to_json(copy) == to_json(node):
        return block
    return json.dumps(to_json(node), ensure_ascii=False, indent=1)


def _name_in(text: str, path: str) -> str | None:
    root, _ = read_nodes(text, path)
    name: Node | None = root.get("name") if isinstance(root, Object) else None
    return name.text if isinstance(name, Scalar) and name.value is not None else None


def _cases(value: Value) -> list[tuple[Value, dict[str, Any]]]:
    """Return the fields of each case. The names must differ, since cases are selected and reported by name."""
    names: set[str] = set()

    def read(item: Value) -> tuple[Value, dict[str, Any]]:
        fields = item.read(_CASE, ("name",), ("expect", "lint"))
        if fields["name"] in names:
            item.refuse(f'an earlier case has the same name, "{fields["name"]}"')
        names.add(fields["name"])
        return item, fields

    items = value.items()
    if not items:
        value.refuse("must have at least one case")
    return read_all(items, read)


def _case(value: Value, fields: dict[str, Any], definition: Definition, flows: Mapping[str, Definition]) -> Case:
    return Case(
        name=fields["name"],
        path=value.path,
        line=value.line,
        definition=definition,
        input=fields.get("input", {}),
        functions=fields.get("functions", {}),
        flows=flows,
        stimuli=fields.get("at", ()),
        limits=fields.get("limits", Limits()),
        until=fields.get("until"),
        expected=fields.get("expect", Expected()),
        lint=fields.get("lint"),
    )


def _replies(value: Value) -> tuple[Reply, ...]:
    items = value.items()
    if not items:
        value.refuse("must have at least one reply")
    return tuple(read_all(items, _reply))


def _reply(value: Value) -> Reply:
    fields = value.read({"returns": _json, "raises": _raises, "lost": _lost, "takes": Value.number})
    value.one_of(fields, "returns", "raises", "lost")
    return Reply(**fields)


def _raises(value: Value) -> TaskError:
    fields = value.read({"error": Value.text, "cause": Value.text_or_none}, ("error",))
    return TaskError(**fields)


def _lost(value: Value) -> bool:
    if value.json is not True:
        value.refuse("must be true")
    return True


def _stimulus(value: Value) -> Stimulus:
    fields = value.read(_STIMULUS, ("seconds",))
    kind = value.one_of(fields, "stop", "report_succeeded", "report_failed")
    if kind == "stop":
        return Stop(fields["seconds"], **fields[kind])
    if kind == "report_succeeded":
        return ReportSucceeded(fields["seconds"], **fields[kind])
    return ReportFailed(fields["seconds"], **fields[kind])


def _limits(value: Value) -> Limits:
    return Limits(**value.read({known.name: _limit_of(known.name) for known in fields_of(Limits)}))


def _limit_of(name: str) -> Callable[[Value], float]:
    return (lambda value: value.number(minimum=1)) if name == "max_wait_seconds" else Value.count


def _expected(value: Value) -> Expected:
    fields = value.read(_EXPECTED)
    return Expected(**fields, output_given="output" in fields)


def _status(value: Value) -> Status:
    known = [status.value for status in Status]
    if value.text() not in known:
        value.refuse(f"must be one of {', '.join(known)}")
    return Status(value.text())


def _error(value: Value) -> ErrorExpected:
    return ErrorExpected(**value.read({"error": Value.text, "cause": Value.text, "cause_contains": Value.text}))


def _refusal(value: Value) -> Refusal:
    readers = {"line": Value.count, "message_contains": Value.text_or_none, "code": Value.text_or_none}
    return Refusal(**value.read(readers, ("line",)))


def _list_of(read: Callable[[Value], T]) -> Callable[[Value], list[T]]:
    return lambda value: read_all(value.items(), read)


def _tuple_of(read: Callable[[Value], T]) -> Callable[[Value], tuple[T, ...]]:
    return lambda value: tuple(read_all(value.items(), read))


def _named(read: Callable[[Value], T]) -> Callable[[Value], dict[str, T]]:
    return lambda value: dict(read_all(value.entries(), lambda entry: (entry[0], read(entry[1]))))


_CASE: Mapping[str, Callable[[Value], Any]] = {
    "name": Value.text,
    "input": Value.json_object,
    "functions": _named(_replies),
    "at": _tuple_of(_stimulus),
    "expect": _expected,
    "lint": _tuple_of(Value.text),
    "until": Value.number,
    "limits": _limits,
}
_STIMULUS: Mapping[str, Callable[[Value], Any]] = {
    "seconds": Value.number,
    "stop": lambda value: value.read({"error": Value.text_or_none, "cause": Value.text_or_none}),
    "report_succeeded": lambda value: value.read({"step": Value.text, "output": Value.json_object}, ("step",)),
    "report_failed": lambda value: value.read(
        {"step": Value.text, "error": Value.text_or_none, "cause": Value.text_or_none}, ("step",)
    ),
}
_EXPECTED: Mapping[str, Callable[[Value], Any]] = {
    "status": _status,
    "output": _json,
    "output_contains": Value.json_object,
    "error": _error,
    "seconds": Value.number,
    "steps": _tuple_of(Value.text),
    "visits": _named(Value.count),
    "calls": _named(_list_of(_json)),
    "refused": Value.count,
    "invalid": _tuple_of(_refusal),
}
