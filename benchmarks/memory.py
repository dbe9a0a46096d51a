"""Memory of Redis and of processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmarks.frame import Site


def redis_bytes(at: Site) -> int:
    """Return the memory that Redis uses for its data."""
    info: Any = at.redis.info("memory")
    return int(info["used_memory"])


def resident_mb(pid: int) -> float:
    """Return the resident memory of one process in megabytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
