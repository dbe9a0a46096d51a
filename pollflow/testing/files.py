"""Names of flow test files."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = (".flowtest.yaml", ".flowtest.yml")


def is_flow_test(path: Path) -> bool:
    """Return whether a file is a flow test by its name."""
    return path.name.endswith(SUFFIXES)
