"""CPU and memory limits for hostile input."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

EXAMPLE_SECONDS = 5.0
"""CPU seconds for one example: many times what the slowest needs. CPU time does not grow on a busy machine."""


@contextmanager
def bounded_time(seconds: float = EXAMPLE_SECONDS) -> Iterator[None]:
    """Raise AssertionError if the block uses more CPU time."""
    started = time.process_time()
    yield
    used = time.process_time() - started
    assert used < seconds, f"used {used:.1f} s of CPU time; the limit is {seconds:g} s"


def limit_this_process(*, memory_bytes: int, cpu_seconds: int) -> None:
    """Limit this process: more memory raises MemoryError, more CPU time ends the process with SIGXCPU."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 5))
