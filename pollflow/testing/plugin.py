"""The pytest plugin: it collects `*.flowtest.yaml` and provides the fixture `flow_run`.

It is registered as `pollflow` under the entry points `pytest11`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from pollflow.errors import PollflowError
from pollflow.printable import clean, clean_lines
from pollflow.testing.cases import Case, load_cases
from pollflow.testing.files import is_flow_test
from pollflow.testing.flows import FlowLike, run_flow
from pollflow.testing.redis_server import REDIS_SERVER
from pollflow.testing.result import RunResult
from pollflow.testing.running import judge, run_case


class FlowRun(Protocol):
    """The type of `flow_run(flow, input, functions=…, …)`. The options are those of `pollflow.testing.run_flow`."""

    def __call__(self, flow: FlowLike, input: dict[str, Any] | None = None, **options: Any) -> RunResult:
        """Run a flow in virtual time."""


class CaseFailed(Exception):
    """The result of a case differs from what it expects."""


class FlowTestItem(pytest.Item):
    """The test of one case."""

    def __init__(self, *, case: Case, **options: Any) -> None:
        super().__init__(**options)
        self.case = case

    def runtest(self) -> None:
        """Run the case. Raises CaseFailed with the differences."""
        verdict = judge(self.case, run_case)
        if not verdict.passed:
            raise CaseFailed("\n".join(verdict.differences))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the differences, without the traceback through pollflow."""
        if isinstance(excinfo.value, CaseFailed):
            return clean_lines(f"{self.case.path}:{self.case.line}: {clean(self.case.name)}\n{excinfo.value}")
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return file, line (from 0) and name."""
        return self.path, self.case.line - 1, clean(self.case.name)


class FlowTestFile(pytest.File):
    """A file with cases."""

    def collect(self) -> Iterator[FlowTestItem]:
        """Yield the cases. Raises CollectError for an invalid file."""
        try:
            cases = load_cases(self.path)
        except PollflowError as error:
            raise self.CollectError(clean_lines(str(error))) from error
        for case in cases:
            yield FlowTestItem.from_parent(self, name=clean(case.name), case=case)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> FlowTestFile | None:
    """Collect flow test files."""
    if not is_flow_test(file_path):
        return None
    return FlowTestFile.from_parent(parent, path=file_path)


def pytest_unconfigure() -> None:
    """Shut down the server that the runs used."""
    REDIS_SERVER.close()


@pytest.fixture
def flow_run(request: pytest.FixtureRequest) -> FlowRun:
    """Run flows in virtual time. Paths are relative to the folder of the test."""
    folder = request.path.parent

    def run(flow: FlowLike, input: dict[str, Any] | None = None, **options: Any) -> RunResult:
        if isinstance(flow, os.PathLike) or (isinstance(flow, str) and "\n" not in flow):
            flow = folder / flow
        return run_flow(flow, input, **options)

    return run
