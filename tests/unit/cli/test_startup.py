"""Commands import slow packages only if they use them. Unlike the start time, this does not depend on the machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pollflow.cli.commands import BY_NAME, COMMANDS

PROJECT = Path(__file__).parents[3]
SLOW = {"asyncio", "celery", "fakeredis", "hypothesis", "kombu", "lark", "pytest", "redis", "rich", "yaml"}
"""Packages that a command imports only if it uses them."""
SCRIPT = """
import json, sys
from pollflow.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
finally:
    sys.stdout.write("\\n" + json.dumps(sorted(sys.modules)))
"""


def imported_by(folder: Path, *words: str) -> set[str]:
    """Return the modules that a command has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_top_level_help_imports_no_command_and_no_slow_package(option: str, tmp_path: Path) -> None:
    modules = imported_by(tmp_path, option)
    assert modules & SLOW == set()
    targets = {f"pollflow.cli.{command.target.partition(':')[0]}" for command in COMMANDS}
    assert modules & targets == set()


@pytest.mark.parametrize("name", BY_NAME)
def test_the_help_of_a_command_imports_neither_redis_nor_celery(name: str, tmp_path: Path) -> None:
    assert imported_by(tmp_path, name, "--help") & {"celery", "kombu", "redis", "hypothesis", "fakeredis"} == set()


@pytest.mark.parametrize("words", [["lint", "a.yaml"], ["schema"], ["init", "new"]])
def test_a_command_that_needs_no_server_imports_neither_redis_nor_celery(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes((PROJECT / "flows" / "task_polling.yaml").read_bytes())
    assert imported_by(tmp_path, *words) & {"celery", "kombu", "redis", "rich", "hypothesis"} == set()
