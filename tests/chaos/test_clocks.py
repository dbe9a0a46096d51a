"""The library for wrong clocks changes the wall clock of a process."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.chaos import clocks


@pytest.fixture(autouse=True)
def _without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(clocks.LIBRARY, raising=False)
    clocks.library.cache_clear()


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="the wheel of libfaketime is for x86-64 Linux"
)
def test_a_process_reads_the_wrong_time() -> None:
    command = [sys.executable, "-c", "import time; print(time.time())"]
    result = subprocess.run(command, env={**os.environ, **clocks.wrong_by(3600)}, capture_output=True, check=True)
    assert float(result.stdout) - time.time() == pytest.approx(3600, abs=60)


def test_a_broken_faketime_library_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "libfaketime.so.1"
    broken.write_bytes(b"not a library")
    monkeypatch.setenv(clocks.LIBRARY, str(broken))
    assert clocks.library() != broken
