"""CPU time of other processes, in seconds with the resolution of nanoseconds."""

from __future__ import annotations

import os
import time
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def process_seconds(pid: int) -> float:
    """Return the CPU time of a process and all its threads, ended ones included. Raises OSError if it has ended."""
    # The id of the kernel's clock of a process, as clock_getcpuclockid(3) makes it. /proc has ticks of 10 ms.
    return time.clock_gettime(~pid << 3 | 2)


def children_seconds(leader: int) -> float:
    """Return the CPU time of the children of `leader` and the other processes in its group, ended children included."""
    seconds = 0.0
    for path in Path("/proc").glob("[0-9]*/stat"):
        pid = int(path.parent.name)
        try:
            # After the name: state ppid pgrp ..., cutime cstime are fields 13 and 14 from there.
            fields = path.read_text().rpartition(")")[2].split()
            if pid == leader:
                seconds += sum(map(int, fields[13:15])) / _TICKS_PER_SECOND
            elif leader in (int(fields[1]), int(fields[2])):
                seconds += process_seconds(pid)
        except OSError:  # the process has ended
            continue
    return seconds
