"""Runs flow test files and judges what comes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pollflow.errors import DefinitionError, InvalidArgument
from pollflow.fdl import Flow, lint
from pollflow.testing.cases import Case, load_cases
from pollflow.testing.compare import differences, refusals, warnings
from pollflow.testing.files import is_flow_test
from pollflow.testing.report import FlowTestReport, Verdict
from pollflow.testing.result import RunResult
from pollflow.testing.stimuli import Stimulus, Stop
from pollflow.testing.virtual import VirtualRun

Runner = Callable[[Case, Flow], RunResult]
"""Runs the flow of a case, in virtual time or otherwise."""


def run_paths(
    paths: Sequence[str | Path],
    *,
    keyword: str | None = None,
    tell: Callable[[Verdict], None] | None = None,
    runner: Runner | None = None,
) -> FlowTestReport:
    """Runs the flow tests in files and folders, telling each verdict as it comes.

    `keyword` keeps the cases with it in their name or their file's. A file that is wrong is one failed case. Raises
    `InvalidArgument` for a path that does not exist, and for a folder without flow tests.
    """
    verdicts = []
    for path in files_of(paths):
        for verdict in _run_file(path, keyword, runner or run_in_virtual_time):
            verdicts.append(verdict)
            if tell is not None:
                tell(verdict)
    return FlowTestReport(tuple(verdicts))


def files_of(paths: Sequence[str | Path]) -> list[Path]:
    """The files that are named, and the flow tests in folders that are, each once. Raises `InvalidArgument`."""
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*.flowtest.y*ml") if is_flow_test(p))
            if not inside:
                raise InvalidArgument(f"{path}: there is no *.flowtest.yaml in it")
            found.update(dict.fromkeys(inside))
        elif path.exists():
            found[path] = None
        else:
            raise InvalidArgument(f"{path}: there is no such file or folder")
    return list(found)


def judge(case: Case, runner: Runner) -> Verdict:
    """Runs one case. What goes wrong on the way is a difference too."""
    started = time.perf_counter()
    try:
        told = _judged(case, runner)
    except DefinitionError as error:
        told = [f"the definition is refused: {problem}" for problem in error.problems]
    except InvalidArgument as error:
        told = [str(error)]
    return Verdict(case.path, case.name, case.line, tuple(told), time.perf_counter() - started)


def run_in_virtual_time(case: Case, flow: Flow) -> RunResult:
    """The run of a case. Raises `DefinitionError` where one of the other flows is wrong."""
    run = VirtualRun(
        flow,
        case.input,
        functions=case.functions,
        flows={name: definition.read() for name, definition in case.flows.items()},
        stimuli=case.stimuli,
        limits=case.limits,
        flow_name=case.definition.name,
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
    told: list[str] = []
    if case.lint is not None:
        told += warnings(case.lint, lint(flow, event_limit=case.limits.events, path=case.definition.path))
    if not expected.needs_run:
        return told
    unknown = [
        stimulus.step
        for stimulus in case.stimuli
        if not isinstance(stimulus, Stop) and not _has_step(flow, case, stimulus)
    ]
    if unknown:
        return [*told, *(f"at: no step is named {step!r}" for step in unknown)]
    result = runner(case, flow)
    told += differences(expected, result)
    if told and expected.refused is None:
        told += [f"at {refused}" for refused in result.refused]
    return told


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
