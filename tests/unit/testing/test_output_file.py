"""The report of flow tests is written into no other file than the one that is named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pollflow.errors import InvalidArgument
from pollflow.testing.report import FlowTestReport


@pytest.fixture
def victim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder beside the checkout, which is the current folder."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "file").write_text("text")
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    return tmp_path / "victim"


def link(victim: Path) -> str:
    Path("report.xml").symlink_to(victim / "file")
    return "report.xml"


def dangling(victim: Path) -> str:
    Path("report.xml").symlink_to(victim / "new")
    return "report.xml"


def hard_link(victim: Path) -> str:
    Path("report.xml").hardlink_to(victim / "file")
    return "report.xml"


def folder(victim: Path) -> str:
    Path("reports").symlink_to(victim)
    return "reports/file"


def folder_and_back(victim: Path) -> str:
    (victim / "inner").mkdir()
    Path("reports").symlink_to(victim / "inner")
    return "reports/../file"


def absolute(victim: Path) -> str:
    return str(Path(folder(victim)).absolute())


def pipe(victim: Path) -> str:
    os.mkfifo("report.xml")
    return "report.xml"


@pytest.mark.parametrize("make", [link, dangling, hard_link, folder, folder_and_back, absolute, pipe])
def test_a_report_changes_nothing_outside_of_the_checkout(victim: Path, make: Callable[[Path], str]) -> None:
    path = make(victim)
    with pytest.raises(InvalidArgument, match=rf"{path}: cannot be written: "):
        FlowTestReport().write_junit(path)
    assert {file.name: file.read_text() for file in victim.iterdir() if file.is_file()} == {"file": "text"}


@pytest.mark.parametrize("path", ["report.xml", "../report.xml", "inside/report.xml"])
def test_a_report_replaces_an_earlier_one(victim: Path, path: str) -> None:
    Path("real").mkdir()
    Path("inside").symlink_to("real")
    Path(path).write_text("x" * 10_000)
    Path(path).chmod(0o644)
    FlowTestReport().write_junit(path)
    assert Path(path).read_text().startswith("<?xml version='1.0' encoding='utf-8'?>\n<testsuites>")
    assert (Path(path).stat().st_size < 1000, Path(path).stat().st_mode & 0o777) == (True, 0o644)


def test_a_report_can_be_written_to_a_device(victim: Path) -> None:
    FlowTestReport().write_junit("/dev/null")
