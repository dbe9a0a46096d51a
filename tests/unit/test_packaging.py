"""The content of the wheel."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZipFile]:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=PROJECT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("pollflow-*.whl")
    with ZipFile(built) as opened:
        yield opened


def test_the_wheel_has_pollflow_but_not_tasks_or_flows(wheel: ZipFile) -> None:
    top_level = {name.partition("/")[0] for name in wheel.namelist()}
    assert sorted(name for name in top_level if not name.endswith(".dist-info")) == ["pollflow"]


def test_the_wheel_has_every_file_of_the_engine(wheel: ZipFile) -> None:
    engine = {path for path in (PROJECT / "pollflow").rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert {path.relative_to(PROJECT).as_posix() for path in engine} <= set(wheel.namelist())


def test_the_wheel_has_its_lua_files_and_the_typing_marker(wheel: ZipFile) -> None:
    names = wheel.namelist()
    assert "pollflow/py.typed" in names
    assert [name for name in names if name.startswith("pollflow/store/lua/") and name.endswith(".lua")]


def test_the_wheel_has_the_command(wheel: ZipFile) -> None:
    (entry_points,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "pollflow = pollflow.cli:main" in wheel.read(entry_points).decode()
