"""Names of flows."""

from __future__ import annotations

from pathlib import Path


def name_of_file(path: Path) -> str:
    """Return the name of the flow in a file: `flows/task_polling.yaml` holds `task-polling`."""
    return path.name.partition(".")[0].replace("_", "-")
