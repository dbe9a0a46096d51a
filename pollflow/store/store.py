"""The store: all verbs that change what is in Redis. `Reading` has those that change nothing."""

from __future__ import annotations

from pollflow.store.cleanup import Cleaning
from pollflow.store.transitions import Transitions
from pollflow.store.wakeups import WakeUps


class Store(Transitions, WakeUps, Cleaning):
    """The state of executions in Redis."""
