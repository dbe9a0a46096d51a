"""A cache of checked flows by digest: a definition never changes under its digest."""

from __future__ import annotations

import threading
from collections import OrderedDict

from pollflow.fdl import ANY_SIZE, ANY_WAIT, Flow, read_flow
from pollflow.store import Definitions

_MAX_FLOWS = 200


class KnownFlows:
    """The digest of each flow's current definition, as far as known. The script of a start compares it."""

    def __init__(self) -> None:
        self._digests: dict[str, str] = {}

    def get(self, flow_name: str) -> str | None:
        """Return the digest of the definition that was current at the last read."""
        return self._digests.get(flow_name)

    def add(self, flow_name: str, digest: str) -> None:
        """Note the digest of a flow's current definition."""
        if len(self._digests) >= _MAX_FLOWS:
            self._digests.clear()
        self._digests[flow_name] = digest


class FlowCache:
    """Reads each definition once. Thread-safe."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._flows: OrderedDict[str, Flow] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: str) -> Flow:
        """Return the flow of a digest. Raises FlowNotExists if Redis has lost it."""
        with self._lock:
            if digest in self._flows:
                self._flows.move_to_end(digest)
                return self._flows[digest]
        # Longest wait and size were checked at deployment. A deployed definition stays readable if a setting changes.
        path, text = f"definition {digest[:12]}", self._definitions.text(digest)
        flow = read_flow(text, path=path, max_wait_seconds=ANY_WAIT, max_bytes=ANY_SIZE)
        self.add(flow)
        return flow

    def add(self, flow: Flow) -> None:
        """Add a flow that this process has already read."""
        with self._lock:
            self._flows[flow.digest] = flow
            while len(self._flows) > _MAX_FLOWS:
                self._flows.popitem(last=False)
