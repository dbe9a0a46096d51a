"""Executions that wait, made in bulk: each by one script, many scripts in one round trip, without a worker."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.frame import Site
from pollflow.fdl import read_flow
from pollflow.machine import Arrived, ExecutionInfo, Limits, decide
from pollflow.machine.decide import begin
from pollflow.runtime.masking import Mask
from pollflow.runtime.routes import Routes
from pollflow.runtime.settings import Settings
from pollflow.store import Definitions, Directory, Store, commands, connect
from pollflow.store.script_keys import NamedKeys

AT_ONCE = 500
TIME_LIMIT_SECONDS = 366 * 86_400.0


class BulkStore(Store):
    """A store whose starts are sent many at once. Each start is of a new name, so it succeeds."""

    def _commit(self, script: Any, keys: NamedKeys, *, durable: bool = False) -> Any:
        self._pending = [*getattr(self, "_pending", []), (script, keys)]
        if len(self._pending) >= AT_ONCE:
            self.flush()
        return commands.StartDone(unpublished=False)

    def flush(self) -> None:
        """Send the starts that were not sent yet."""
        pending, self._pending = getattr(self, "_pending", []), []
        if pending:
            self.scripts.run_many(pending)


def seed(at: Site, flow_name: str, text: str, number: int, input_of: Callable[[int], dict[str, Any]]) -> None:
    """Deploy a flow that begins with a wait, and make executions that have begun this wait.

    A worker has to have registered its routes. `input_of` returns the input of execution number N.
    """
    client = connect(at.url)
    routes, stored = Routes.load(Directory(client, Settings().keys))
    settings = Settings.load(stored)
    encode = partial(routes.encode, mask=Mask.of(settings.mask), is_encoded=False)
    store = BulkStore(client, timing=settings.timing, encode=encode)
    flow, limits = read_flow(text), Limits()
    Definitions(client, store.keys).deploy(flow_name, flow.digest, flow.text, time.time())
    for index in range(number):
        input = input_of(index)
        info = ExecutionInfo(flow_name, f"seed-{index}", uuid.uuid4().hex, time.time(), uuid.uuid4().hex)
        first = begin(flow, input, info, limits, "")
        if first.state is None:
            raise TypeError(flow_name)
        second = decide(flow, first.state, Arrived(at=time.time()), info=info, limits=limits)
        decision = replace(second, history=first.history + second.history)
        store.start(info, decision, digest=flow.digest, execution_input=input, time_limit=TIME_LIMIT_SECONDS)
    store.flush()
    client.close()
