"""Names of flows."""

from __future__ import annotations

from pathlib import Path


def name_of_file(path: Path) -> str:
    """Return the flow's name for a file: `task-polling` for `flows/task_polling.yaml`."""
    return path.name.partition(".")[0].replace("_", "-")
