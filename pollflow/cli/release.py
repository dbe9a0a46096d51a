"""The installed version of pollflow."""

from __future__ import annotations


def release() -> str:
    """Return the installed version; `unknown` if pollflow runs from its sources without being installed."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and seldom needed

    try:
        return version("pollflow")
    except PackageNotFoundError:
        return "unknown"
