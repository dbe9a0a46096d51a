"""Clocks that are wrong: libfaketime, preloaded into some of the processes where the machine has it."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

LIBRARY = "CHAOS_LIBFAKETIME"
_PACKAGED = "vendor/libfaketime/src/libfaketime.so.1"
_INSTALLED = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/local/lib/faketime/libfaketimeMT.so.1")


def library() -> Path | None:
    """The library: the one that CHAOS_LIBFAKETIME names, that of the package of PyPI, or the system's."""
    if named := os.environ.get(LIBRARY):
        return Path(named)
    spec = find_spec("libfaketime")
    found = [Path(folder, _PACKAGED) for folder in (spec.submodule_search_locations or ()) if spec] if spec else []
    found += [path for pattern in _INSTALLED for path in Path("/").glob(pattern.lstrip("/"))]
    return next((path for path in found if path.is_file()), None)


def wrong_by(seconds: float) -> dict[str, str]:
    """The environment of a process whose clock is wrong by so much; as ever where there is no libfaketime."""
    found = library()
    if found is None or seconds == 0:
        return {}
    # What a process measures is right, only what it reads from its clock is not.
    return {"LD_PRELOAD": str(found), "FAKETIME": f"{seconds:+g}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
