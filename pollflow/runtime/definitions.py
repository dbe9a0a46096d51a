"""A cache of checked flows by digest: a definition never changes under its digest."""

from __future__ import annotations

import threading
from collections import OrderedDict

from pollflow.fdl import ANY_WAIT, Flow, read_flow
from pollflow.store import Definitions

_MOST = 200


class FlowCache:
    """Reads each definition once. Safe for threads."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._flows: OrderedDict[str, Flow] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: str) -> Flow:
        """The flow of that digest. Raises FlowNotExists if Redis has lost it."""
        with self._lock:
            if digest in self._flows:
                self._flows.move_to_end(digest)
                return self._flows[digest]
        # The bound on waits was checked when it was deployed; a definition that runs stays readable.
        flow = read_flow(self._definitions.text(digest), path=f"definition {digest[:12]}", max_wait_seconds=ANY_WAIT)
        self.add(flow)
        return flow

    def add(self, flow: Flow) -> None:
        """Keep a flow that this process has read already."""
        with self._lock:
            self._flows[flow.digest] = flow
            while len(self._flows) > _MOST:
                self._flows.popitem(last=False)
