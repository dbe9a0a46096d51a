"""The starter flow of `pollflow init`: clean in lint, and no outcome of a job is taken for another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pollflow.cli.init import write_project
from pollflow.testing import run_flow

STATUSES: list[tuple[dict[str, Any], str, str | None]] = [
    ({"job_status": "success"}, "Succeeded", None),
    ({"job_status": "failed"}, "Failed", "JobFailed"),
    ({"job_status": "cancelled"}, "Failed", "UnknownStatus"),
    ({"job_status": ""}, "Failed", "UnknownStatus"),
    ({"job_status": None}, "Failed", "UnknownStatus"),
    ({"job_status": 1}, "Failed", "UnknownStatus"),
    ({}, "Failed", "UnknownStatus"),
    ({"job_status": "running"}, "TimedOut", "FnF.ExecutionTimeout"),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(tmp_path / "project")
    return tmp_path / "project"


def command(project: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pollflow.cli", *words],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_lint_of_a_new_project_reports_nothing_and_checks_its_functions(project: Path) -> None:
    assert command(project, "lint", "--functions", "flows") == (0, "1 file, 0 errors, 0 warnings\n")
    flow = project / "flows" / "task_polling.yaml"
    flow.write_text(flow.read_text().replace("functions/StartJob", "functions/StartJobs"))
    assert "StartJobs" in command(project, "lint", "--functions", "flows")[1]


@pytest.mark.parametrize(("reply", "status", "error"), STATUSES)
def test_only_a_successful_job_is_a_success(
    project: Path, reply: dict[str, Any], status: str, error: str | None
) -> None:
    result = run_flow(
        project / "flows" / "task_polling.yaml",
        functions={"StartJob": lambda input, context: {"job_id": "J"}, "GetJobStatus": lambda input, context: reply},
    )
    assert (result.status.value, result.error) == (status, error)
