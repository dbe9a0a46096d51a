"""The limits of one execution."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from pollflow.fdl.fields import EVENT_LIMIT, YEAR_SECONDS

MAX_ERROR = 128
"""The maximum number of characters of the name of an error."""
MAX_CAUSE = 4096
"""The maximum number of characters of the cause of an error."""
NO_LIMIT = sys.maxsize
"""The payload limit of data that is recorded without a size check."""
MAX_RESULTS_BYTES = 8 << 20
"""The size of the locals of all branches or iterations of a step, which a worker reads together."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one execution, from the settings."""

    payload_bytes: int = 32 * 1024
    """The size of the input, output and local of one step together."""
    events: int = EVENT_LIMIT
    """The number of events in the history."""
    max_concurrency: int = 100
    """The number of children of one map step that run at once."""
    max_wait_seconds: float = YEAR_SECONDS
    """The length of one wait."""
    max_execution_seconds: float = YEAR_SECONDS
    """The time from the start of an execution to its end."""


def shortened(text: str, limit: int) -> str:
    """Return the text, cut to `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
