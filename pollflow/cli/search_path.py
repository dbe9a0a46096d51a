"""Where Python imports modules from: not from the current folder, which may be a checkout with a `yaml.py` in it.

It runs before everything else of the command, so it imports only what Python has imported at its own start.
"""

from __future__ import annotations

import os
import sys

_original: list[str] = []
"""`sys.path` as Python made it; empty if nothing was left out."""


def leave_out_current_folder() -> None:
    """Leave the current folder out of `sys.path`, and the relative folders of PYTHONPATH, which lie below it."""
    names = [name for name in os.environ.get("PYTHONPATH", "").split(os.pathsep) if not os.path.isabs(name)]  # noqa: PTH117
    left_out = {os.path.realpath(name) for name in ["", *names]}
    kept = [entry for entry in sys.path if os.path.realpath(entry) not in left_out]
    if kept != sys.path:
        _original[:] = sys.path
        sys.path[:] = kept


def restore() -> None:
    """Search these folders again: the command imports the app, whose modules may be there."""
    if _original:
        sys.path[:] = _original
        _original.clear()
