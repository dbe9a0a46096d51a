"""The dataclasses of the Lua scripts, by the names of the scripts."""

from __future__ import annotations

from typing import Any

from pollflow.store import commands
from pollflow.store.commands import Script

SCRIPTS: dict[str, Any] = {
    kind.NAME: kind
    for kind in vars(commands).values()
    if isinstance(kind, type) and issubclass(kind, Script) and kind is not Script
}
UNGUARDED = {"start", "due", "cancel_child", "undo_cancel"}
"""Scripts that do not compare the id and the incarnation of an execution."""
