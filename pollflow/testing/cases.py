"""Flow test files: a flow, and cases with what functions answer and what must come of it. See `docs/testing.md`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pollflow.errors import InvalidArgument, TaskError
from pollflow.fdl import Flow, read_flow
from pollflow.fdl.model import Json, JsonObject
from pollflow.fdl.reader import MAX_BYTES, Node, Object, Scalar, read_nodes, to_json
from pollflow.machine import Limits, Status
from pollflow.testing.acts import Act, ReportFailed, ReportSucceeded, Stop
from pollflow.testing.document import Fields, Value, read_document
from pollflow.testing.replies import Reply


@dataclass(frozen=True, slots=True)
class Definition:
    """A definition as text, and what its problems call it. `name` is the flow's name while it runs."""

    text: str
    path: str
    name: str | None = None

    def read(self) -> Flow:
        """The flow; raises `DefinitionError`."""
        return read_flow(self.text, path=self.path)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A problem that a refused definition must have: its line, and parts of what is said."""

    line: int
    message_contains: str = ""
    code: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorExpected:
    """What the error of an execution must be, where it is said."""

    error: str | None = None
    cause: str | None = None
    cause_contains: str | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """What must hold after the run; None where nothing is said."""

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
        """Whether anything is said of a run."""
        said = [getattr(self, known.name) for known in fields(self) if known.name not in ("invalid", "output_given")]
        return self.output_given or any(value is not None for value in said)


@dataclass(frozen=True, slots=True)
class Case:
    """One case: a run of the flow and what must come of it. `lint` are codes of warnings, None if unsaid."""

    name: str
    path: str
    line: int
    definition: Definition
    given: JsonObject = field(default_factory=dict)
    functions: Mapping[str, tuple[Reply, ...]] = field(default_factory=dict)
    flows: Mapping[str, Definition] = field(default_factory=dict)
    acts: tuple[Act, ...] = ()
    limits: Limits = field(default_factory=Limits)
    until: float | None = None
    expected: Expected = field(default_factory=Expected)
    lint: tuple[str, ...] | None = None


def load_cases(path: str | os.PathLike[str]) -> list[Case]:
    """The cases of a file. Raises `InvalidArgument` if it cannot be read, `DefinitionError` if it is wrong."""
    name = os.fspath(path)
    text = read_text(Path(path), name)
    root = read_document(text, name)
    found = root.fields("flow", "definition", "flows", "cases")
    if found.one_of("flow", "definition") == "flow":
        definition = _from_file(found.need("flow"))
    else:
        definition = _inline(found.need("definition"), text)
    flows = {name: _other_flow(value, text) for name, value in _entries(found.get("flows"))}
    cases = found.need("cases").items()
    if not cases:
        found.need("cases").wrong("must have at least one case")
    return [_case(case, definition, flows) for case in cases]


def load_script(path: str | os.PathLike[str]) -> tuple[dict[str, tuple[Reply, ...]], tuple[Act, ...]]:
    """What functions answer and what is done from outside, from a file with `functions` and `at`. Raises as above."""
    name = os.fspath(path)
    found = read_document(read_text(Path(path), name), name).fields("functions", "at")
    return _functions(found), _acts(found)


def read_text(path: Path, name: str) -> str:
    """The text of a file. Raises `InvalidArgument`."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        return raw.decode("utf-8-sig")
    except FileNotFoundError:
        raise InvalidArgument(f"{name}: there is no such file") from None
    except OSError as error:
        raise InvalidArgument(f"{name}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{name}: is not UTF-8 text") from error


def _entries(value: Value | None) -> list[tuple[str, Value]]:
    return [] if value is None else list(value.entries())


def _from_file(value: Value) -> Definition:
    path = Path(value.path).parent / value.text()
    try:
        return Definition(read_text(path, os.fspath(path)), os.fspath(path), path.name.split(".")[0])
    except InvalidArgument as error:
        value.wrong(str(error))


def _other_flow(value: Value, text: str) -> Definition:
    if isinstance(value.node, Scalar) and "\n" not in value.node.text:
        return _from_file(value)
    return _inline(value, text)


def _inline(value: Value, text: str) -> Definition:
    """A definition inside the file: a block of text, or the object itself, whose text is cut out of the file."""
    told = f"{value.path} ({value.field})"
    if isinstance(value.node, Scalar):
        return Definition(value.text(), told, _name_in(value.node.text, told))
    if not isinstance(value.node, Object):
        value.wrong("must be a flow, as an object or as a block of text")
    cut = _cut_out(value.node, text)
    return Definition(cut, told, _name_in(cut, told))


def _cut_out(node: Object, text: str) -> str:
    """The object's own text, so that lines and spelling stay; as JSON where it does not stand on lines of its own."""
    lines = text.split("\n")[node.line - 1 :]
    margin = node.column - 1
    kept = []
    for line in lines:
        if line.strip() and not line.startswith("#") and len(line) - len(line.lstrip()) < margin:
            break
        kept.append(line[margin:])
    cut = "\n".join(kept) + "\n"
    again, problems = read_nodes(cut, "")
    if again is not None and not problems and to_json(again) == to_json(node):
        return cut
    return json.dumps(to_json(node), ensure_ascii=False, indent=1)


def _name_in(text: str, path: str) -> str | None:
    root, _ = read_nodes(text, path)
    name: Node | None = root.get("name") if isinstance(root, Object) else None
    return name.text if isinstance(name, Scalar) and name.value is not None else None


def _case(value: Value, definition: Definition, flows: Mapping[str, Definition]) -> Case:
    found = value.fields("name", "input", "functions", "at", "expect", "lint", "until", "limits")
    if "expect" not in found and "lint" not in found:
        value.wrong('"expect" is missing')
    until, limits, lint = found.get("until"), found.get("limits"), found.get("lint")
    return Case(
        name=found.need("name").text(),
        path=value.path,
        line=value.line,
        definition=definition,
        given=found.json_object("input"),
        functions=_functions(found),
        flows=flows,
        acts=_acts(found),
        limits=Limits() if limits is None else _limits(limits),
        until=None if until is None else until.number(),
        expected=_expected(found.found["expect"]) if "expect" in found else Expected(),
        lint=None if lint is None else tuple(code.text() for code in lint.items()),
    )


def _functions(found: Fields) -> dict[str, tuple[Reply, ...]]:
    return {name: _replies(replies) for name, replies in _entries(found.get("functions"))}


def _acts(found: Fields) -> tuple[Act, ...]:
    acts = found.get("at")
    return () if acts is None else tuple(_act(act) for act in acts.items())


def _replies(value: Value) -> tuple[Reply, ...]:
    items = value.items()
    if not items:
        value.wrong("must have at least one reply")
    return tuple(_reply(item) for item in items)


def _reply(value: Value) -> Reply:
    found = value.fields("returns", "raises", "lost", "takes")
    kind = found.one_of("returns", "raises", "lost")
    takes = found.need("takes").number() if "takes" in found else 0
    if kind == "lost":
        if found.need("lost").json is not True:
            found.need("lost").wrong("must be true")
        return Reply(lost=True, takes=takes)
    if kind == "raises":
        raises = found.need("raises").fields("error", "cause")
        return Reply(raises=TaskError(raises.need("error").text(), raises.text("cause")), takes=takes)
    return Reply(found.need("returns").json, takes=takes)


def _act(value: Value) -> Act:
    found = value.fields("seconds", "stop", "report_succeeded", "report_failed")
    seconds = found.need("seconds").number()
    kind = found.one_of("stop", "report_succeeded", "report_failed")
    if kind == "stop":
        stop = found.need(kind).fields("error", "cause")
        return Stop(seconds, stop.text("error"), stop.text("cause"))
    if kind == "report_succeeded":
        report = found.need(kind).fields("step", "output")
        return ReportSucceeded(seconds, report.need("step").text(), report.json_object("output"))
    report = found.need(kind).fields("step", "error", "cause")
    return ReportFailed(seconds, report.need("step").text(), report.text("error"), report.text("cause"))


def _limits(value: Value) -> Limits:
    names = [known.name for known in fields(Limits)]
    given: dict[str, Any] = {}
    for name, limit in value.fields(*names).found.items():
        given[name] = limit.number(least=1) if name == "max_wait_seconds" else limit.count()
    return Limits(**given)


def _expected(value: Value) -> Expected:
    found = value.fields(
        *("status", "output", "output_contains", "error", "seconds", "steps", "visits", "calls", "refused", "invalid")
    )
    seconds, refused = found.get("seconds"), found.get("refused")
    return Expected(
        status=_status(found.found["status"]) if "status" in found else None,
        output=found.found["output"].json if "output" in found else None,
        output_given="output" in found,
        output_contains=found.json_object("output_contains") if "output_contains" in found else None,
        error=_error(found.found["error"]) if "error" in found else None,
        seconds=None if seconds is None else seconds.number(),
        steps=tuple(step.text() for step in found.found["steps"].items()) if "steps" in found else None,
        visits={name: count.count() for name, count in _entries(found.get("visits"))} if "visits" in found else None,
        calls=_calls(found) if "calls" in found else None,
        refused=None if refused is None else refused.count(),
        invalid=tuple(_refusal(item) for item in found.found["invalid"].items()) if "invalid" in found else None,
    )


def _calls(found: Fields) -> dict[str, list[Json]]:
    return {name: [item.json for item in given.items()] for name, given in _entries(found.get("calls"))}


def _status(value: Value) -> Status:
    known = [status.value for status in Status if status is not Status.STARTING]
    if value.text() not in known:
        value.wrong(f"must be one of {', '.join(known)}")
    return Status(value.text())


def _error(value: Value) -> ErrorExpected:
    found = value.fields("error", "cause", "cause_contains")
    texts = {name: item.text() for name, item in found.found.items()}
    return ErrorExpected(**texts)


def _refusal(value: Value) -> Refusal:
    found = value.fields("line", "message_contains", "code")
    return Refusal(
        found.need("line").count(),
        found.text("message_contains"),
        found.text("code") if "code" in found else None,
    )
