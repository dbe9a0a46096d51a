"""The folder `.pollflow` of a project: the data of the embedded server and the logs of workers."""

from __future__ import annotations

from pathlib import Path

FOLDER = ".pollflow"


def private_folder(project: Path) -> Path:
    """Return the folder. Create it if needed, readable by its owner only and ignored by git."""
    folder = project / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    (folder / ".gitignore").write_text("*\n")
    return folder
