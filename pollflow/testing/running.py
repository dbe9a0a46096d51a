"""Run flow test files: run each case, and compare its result with the expected one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pollflow.errors import DefinitionError, InvalidArgument
from pollflow.fdl import Flow, lint
from pollflow.fdl.files import files_below
from pollflow.runtime import arguments
from pollflow.store import Connection
from pollflow.testing.cases import Case, load_cases
from pollflow.testing.compare import differences, refusals, warnings
from pollflow.testing.files import is_flow_test
from pollflow.testing.report import FlowTestReport, Verdict
from pollflow.testing.result import RunResult
from pollflow.testing.stimuli import Stimulus, Stop
from pollflow.testing.virtual import VirtualRun

Runner = Callable[[Case, Flow], RunResult]
"""Runs the flow of a case."""


def run_paths(
    paths: Sequence[str | Path],
    *,
    keyword: str | None = None,
    on_verdict: Callable[[Verdict], None] | None = None,
    runner: Runner | None = None,
) -> FlowTestReport:
    """Run the flow tests in files and folders, and call `on_verdict` after each case.

    `keyword` selects the cases with this text in their name or the name of their file. An invalid file counts as one
    failed case. Raises InvalidArgument for a path that does not exist and for a folder without flow tests.
    """
    arguments.items("paths", paths, (str, Path), "a list of paths")
    if keyword is not None:
        arguments.text("keyword", keyword)
    for argument, function in (("on_verdict", on_verdict), ("runner", runner)):
        if function is not None:
            arguments.function(argument, function)
    verdicts = []
    for path in files_of(paths):
        for verdict in _run_file(path, keyword, runner or run_case):
            verdicts.append(verdict)
            if on_verdict is not None:
                on_verdict(verdict)
    return FlowTestReport(tuple(verdicts))


def files_of(paths: Sequence[str | Path]) -> list[Path]:
    """Return the named files and the flow tests in the named folders, each once. Raises InvalidArgument."""
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            inside = [file for file in files_below(path) if is_flow_test(file)]
            if not inside:
                raise InvalidArgument(f"{path}: contains no *.flowtest.yaml")
            found.update(dict.fromkeys(inside))
        elif path.exists():
            found[path] = None
        else:
            raise InvalidArgument(f"{path}: does not exist")
    return list(found)


def judge(case: Case, runner: Runner) -> Verdict:
    """Run one case. A refused definition or an invalid argument is a difference too."""
    started = time.perf_counter()
    try:
        found = _judged(case, runner)
    except DefinitionError as error:
        found = [f"the definition is refused: {problem}" for problem in error.problems]
    except InvalidArgument as error:
        found = [str(error)]
    return Verdict(case.path, case.name, case.line, tuple(found), time.perf_counter() - started)


def run_case(case: Case, flow: Flow, client: Connection | None = None) -> RunResult:
    """Run the flow of a case. Raises DefinitionError for an invalid sub-flow."""
    run = VirtualRun(
        flow,
        case.input,
        functions=case.functions,
        flows={name: definition.read() for name, definition in case.flows.items()},
        stimuli=case.stimuli,
        limits=case.limits,
        flow_name=case.definition.name,
        client=client,
    )
    return run.run(case.until)


def _run_file(path: Path, keyword: str | None, runner: Runner) -> Iterator[Verdict]:
    try:
        cases = load_cases(path)
    except DefinitionError as error:
        yield Verdict(str(path), "cannot be read", differences=tuple(map(str, error.problems)))
        return
    except InvalidArgument as error:
        yield Verdict(str(path), "cannot be read", differences=(str(error),))
        return
    for case in cases:
        if keyword is None or keyword.lower() in f"{path}: {case.name}".lower():
            yield judge(case, runner)


def _judged(case: Case, runner: Runner) -> list[str]:
    expected = case.expected
    if expected.invalid is not None:
        return _refused(case)
    flow = case.definition.read()
    found: list[str] = []
    if case.lint is not None:
        found += warnings(case.lint, lint(flow, event_limit=case.limits.events, path=case.definition.path))
    if not expected.needs_run:
        return found
    unknown = [
        stimulus.step
        for stimulus in case.stimuli
        if not isinstance(stimulus, Stop) and not _has_step(flow, case, stimulus)
    ]
    if unknown:
        return [*found, *(f"at: no step is named {step!r}" for step in unknown)]
    result = runner(case, flow)
    found += differences(expected, result)
    if found and expected.refused is None:
        found += [f"at {refused}" for refused in result.refused]
    return found


def _refused(case: Case) -> list[str]:
    try:
        case.definition.read()
    except DefinitionError as error:
        return refusals(case.expected.invalid or (), error.problems)
    return ["the definition is not refused"]


def _has_step(flow: Flow, case: Case, stimulus: Stimulus) -> bool:
    flows = [flow, *(definition.read() for definition in case.flows.values())]
    name = "" if isinstance(stimulus, Stop) else stimulus.step
    return any(step.name == name for each in flows for series in each.series.values() for step in series.steps)
