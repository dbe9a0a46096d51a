"""pytest collects `*.flowtest.yaml`, and tests in Python have `flow_run`. Registered as `pollflow` under `pytest11`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from pollflow.errors import PollflowError
from pollflow.testing.cases import Case, load_cases
from pollflow.testing.files import is_flow_test
from pollflow.testing.flows import FlowLike, run_flow
from pollflow.testing.result import RunResult
from pollflow.testing.running import judge, run_in_virtual_time


class FlowRun(Protocol):
    """`flow_run(flow, input, functions=…, …)`, as `pollflow.testing.run_flow`."""

    def __call__(self, flow: FlowLike, input: dict[str, Any] | None = None, **options: Any) -> RunResult:
        """Runs a flow in virtual time."""


class CaseFailed(Exception):
    """A flow test's case did not come out as expected."""


class FlowTestItem(pytest.Item):
    """One case."""

    def __init__(self, *, case: Case, **options: Any) -> None:
        super().__init__(**options)
        self.case = case

    def runtest(self) -> None:
        """Runs it; raises CaseFailed with what differs."""
        verdict = judge(self.case, run_in_virtual_time)
        if not verdict.passed:
            raise CaseFailed("\n".join(verdict.differences))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The differences alone: the way through pollflow tells nobody anything."""
        if isinstance(excinfo.value, CaseFailed):
            return f"{self.case.path}:{self.case.line}: {self.case.name}\n{excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """File, line counted from 0, and name."""
        return self.path, self.case.line - 1, self.case.name


class FlowTestFile(pytest.File):
    """A file of cases."""

    def collect(self) -> Iterator[FlowTestItem]:
        """Its cases; a file that is wrong is an error of collection."""
        try:
            cases = load_cases(self.path)
        except PollflowError as error:
            raise self.CollectError(str(error)) from error
        for case in cases:
            yield FlowTestItem.from_parent(self, name=case.name, case=case)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> FlowTestFile | None:
    """Takes the files whose names say so."""
    if not is_flow_test(file_path):
        return None
    return FlowTestFile.from_parent(parent, path=file_path)


@pytest.fixture
def flow_run(request: pytest.FixtureRequest) -> FlowRun:
    """Runs flows in virtual time; the paths of their files begin at the test's own folder."""
    folder = request.path.parent

    def run(flow: FlowLike, input: dict[str, Any] | None = None, **options: Any) -> RunResult:
        if isinstance(flow, os.PathLike) or (isinstance(flow, str) and "\n" not in flow):
            flow = folder / flow
        return run_flow(flow, input, **options)

    return run
