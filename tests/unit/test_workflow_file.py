"""The workflow file of the hosted CI runs .ci/run and pip-audit, and actionlint accepts it where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
WORKFLOW = PROJECT / ".github" / "workflows" / "ci.yml"


@pytest.mark.skipif(not WORKFLOW.exists(), reason="not a checkout")
def test_the_hosted_ci_runs_the_ci_script() -> None:
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    assert ".ci/run" in [step.get("run") for step in jobs["test"]["steps"]]


@pytest.mark.skipif(not WORKFLOW.exists(), reason="not a checkout")
def test_the_hosted_ci_looks_up_vulnerabilities_of_the_locked_packages() -> None:
    (audit,) = [step["run"] for step in yaml.safe_load(WORKFLOW.read_text())["jobs"]["audit"]["steps"] if "run" in step]
    assert "pip-audit" in audit
    assert audit.split()[-2:] == ["-r", "requirements.lock"]


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not installed")
def test_actionlint_accepts_the_workflow() -> None:
    result = subprocess.run(["actionlint", WORKFLOW], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
