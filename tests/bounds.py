"""How much of the processor and of memory what comes from outside may take."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

EXAMPLE_SECONDS = 5.0
"""Of one example: many times what the slowest takes. Time of the processor, so a busy machine makes none longer."""


@contextmanager
def bounded_time(seconds: float = EXAMPLE_SECONDS) -> Iterator[None]:
    """Fails if what is done inside takes the processor for longer."""
    begun = time.process_time()
    yield
    spent = time.process_time() - begun
    assert spent < seconds, f"took the processor for {spent:.1f} s; {seconds:g} s are allowed"


def limit_this_process(*, memory_bytes: int, cpu_seconds: int) -> None:
    """From now on more memory is refused (MemoryError), and more time ends the process (SIGXCPU)."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 5))
