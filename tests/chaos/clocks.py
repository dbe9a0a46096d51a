"""Wrong clocks for some processes, by a preloaded libfaketime where a working one is found."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path

LIBRARY = "CHAOS_LIBFAKETIME"
_PACKAGED = "vendor/libfaketime/src/libfaketime.so.1"
_INSTALLED = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/local/lib/faketime/libfaketimeMT.so.1")
_TRIAL_SECONDS, _TRIAL_SKEW = 30, 3600
# All ways in which a worker sleeps. With libfaketime 0.9.10 (Debian) the first one fails with EINVAL.
_TRIAL = """
import select, threading, time
time.sleep(0.01)
threading.Event().wait(0.01)
select.select([], [], [], 0.01)
print(time.time())
"""


@cache
def library() -> Path | None:
    """Return the first library that works: from CHAOS_LIBFAKETIME, the PyPI package or the system."""
    return next((path for path in _candidates() if path.is_file() and _works(path)), None)


def wrong_by(seconds: float) -> dict[str, str]:
    """Return the environment of a process whose clock is wrong by `seconds`."""
    found = library()
    return {} if found is None or seconds == 0 else _environment(found, seconds)


def _candidates() -> list[Path]:
    named = os.environ.get(LIBRARY)
    spec = find_spec("libfaketime")
    return [
        *([Path(named)] if named else []),
        *(Path(folder, _PACKAGED) for folder in (spec.submodule_search_locations or () if spec else ())),
        *(path for pattern in _INSTALLED for path in Path("/").glob(pattern.lstrip("/"))),
    ]


def _works(path: Path) -> bool:
    env = {**os.environ, **_environment(path, _TRIAL_SKEW)}
    command = [sys.executable, "-c", _TRIAL]
    try:
        trial = subprocess.run(command, env=env, capture_output=True, text=True, timeout=_TRIAL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return trial.returncode == 0 and float(trial.stdout) > time.time() + _TRIAL_SKEW / 2


def _environment(path: Path, seconds: float) -> dict[str, str]:
    # Only the wall clock is wrong; durations come from the monotonic clock and stay right.
    return {"LD_PRELOAD": str(path), "FAKETIME": f"{seconds:+g}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
