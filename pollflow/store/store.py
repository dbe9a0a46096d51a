"""The store: all methods that change executions in Redis. `Reading` has those that only read."""

from __future__ import annotations

from pollflow.store.cleanup import Cleanup
from pollflow.store.rotation import Rotation
from pollflow.store.transitions import Transitions
from pollflow.store.wakeups import WakeUps


class Store(Transitions, WakeUps, Cleanup, Rotation):
    """The state of executions in Redis."""
