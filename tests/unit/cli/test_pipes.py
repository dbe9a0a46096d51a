"""A command whose reader has ended, as in `pollflow schema | head -1`, ends without a message."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FLOW = "version: v1\ntype: flow\nsteps:\n  - {type: wait, name: a, duration: 10s}\n"
ASKING = "version: v1\ntype: flow\nsteps:\n  - {type: task, name: a, resourceArn: ask}\n"
FLOW_TEST = "definition: {version: v1, type: flow, steps: [{type: pass, name: a}]}\ncases: [{name: x, expect: {}}]\n"


@pytest.mark.parametrize(
    "words",
    [
        *(["--help"], ["run", "--help"], ["--version"], ["schema"], ["init", "new"]),
        *(["lint", "a.yaml"], ["lint", "a.yaml", "--format", "sarif"], ["test", "a.flowtest.yaml"]),
        *(["simulate", "waits.yaml"], ["simulate", "asks.yaml"]),
    ],
    ids=" ".join,
)
def test_a_closed_pipe_ends_a_command_quietly(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(FLOW)
    (tmp_path / "waits.yaml").write_text(FLOW.replace("10s", "10"))
    (tmp_path / "asks.yaml").write_text(ASKING)
    (tmp_path / "a.flowtest.yaml").write_text(FLOW_TEST)
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "pollflow.cli", *words]
    done = subprocess.run(command, cwd=tmp_path, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("setting", [None, 100.0])
def test_lint_run_and_deploy_state_the_same_bounds(setting: float | None, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(FLOW)
    if setting is not None:
        (tmp_path / "worker.py").write_text(
            "import pollflow\nfrom celery import Celery\n"
            f"app = Celery('a', broker='redis://127.0.0.1:1')\napp.conf.pollflow_max_wait = {setting}\n"
            "pollflow.attach(app, 'redis://127.0.0.1:1')\n"
        )
    commands = (["lint", "--functions", "a.yaml"], ["deploy", "a.yaml"], ["run", "a.yaml"])
    outputs = [
        subprocess.run(
            [sys.executable, "-m", "pollflow.cli", *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        for words in commands
    ]
    found = {line for done in outputs for line in (done.stdout + done.stderr).splitlines() if "duration" in line}
    longest = 31_536_000 if setting is None else int(setting)
    expected = f'must be a number of seconds from 0 to {longest}, or a $ path, not "10s"; write 10'
    assert found == {f"a.yaml:4:37: steps[0].duration: {expected}"}
