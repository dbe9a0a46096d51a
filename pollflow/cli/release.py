"""Which release this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def release() -> str:
    """The installed version; `unknown` where pollflow runs from its sources without being installed."""
    try:
        return version("pollflow")
    except PackageNotFoundError:
        return "unknown"
