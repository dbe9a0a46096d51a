"""Executions that wait, made in bulk: two scripts for each, many scripts in one round trip, without a worker."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.frame import Site
from pollflow.fdl import read_flow
from pollflow.machine import ROOT, Arrived, ExecutionInfo, Limits, decide
from pollflow.machine.decide import begin
from pollflow.runtime.masking import Mask
from pollflow.runtime.routes import Routes
from pollflow.runtime.settings import Settings
from pollflow.store import Claimed, Definitions, Directory, MessageKey, Store, commands, connect
from pollflow.store.keys import ExecutionKey
from pollflow.store.script_keys import NamedKeys
from pollflow.store.starts import NewExecution

AT_ONCE = 1000
TIME_LIMIT_SECONDS = 366 * 86_400.0


class BulkStore(Store):
    """A store that sends its commits many at once. Each is of a new execution, so it succeeds."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.pending: list[tuple[Any, NamedKeys]] = []

    def _commit(self, script: Any, keys: NamedKeys, *, durable: bool = False) -> Any:
        self.pending.append((script, keys))
        if isinstance(script, commands.Start):
            return commands.StartDone(unpublished=False, at=time.time())
        return commands.AdvanceDone(at=time.time(), unpublished=False, events=0)

    def flush(self) -> None:
        """Send the commits that were not sent yet."""
        self.scripts.run_many(self.pending)
        self.pending.clear()


def seed(at: Site, flow_name: str, text: str, number: int, input_of: Callable[[int], dict[str, Any]]) -> None:
    """Deploy a flow that begins with a wait, and make executions that have begun this wait.

    A worker has to have registered its routes. `input_of` returns the input of execution number N.
    """
    client = connect(at.url)
    routes, stored = Routes.load(Directory(client, Settings().keys))
    settings = Settings.load(stored)
    encode = partial(routes.encode, mask=Mask.of(settings.mask), is_encoded=False)
    silent = BulkStore(client, timing=settings.timing)  # the messages of the first steps are not needed
    store = BulkStore(client, timing=settings.timing, encode=encode)
    store.pending = silent.pending
    flow, limits = read_flow(text), Limits()
    Definitions(client, store.keys).deploy(flow_name, flow.digest, flow.text, time.time())
    for index in range(number):
        info = ExecutionInfo(flow_name, f"seed-{index}", uuid.uuid4().hex, time.time(), uuid.uuid4().hex)
        input = input_of(index)
        first = begin(flow, input, info, limits, "")
        if first.state is None:
            raise TypeError(flow_name)
        silent.start(
            NewExecution(info=info, decision=first, digest=flow.digest, input=input, time_limit=TIME_LIMIT_SECONDS)
        )
        key = MessageKey(ExecutionKey.of(info), ROOT, store.pending[-1][0].next.token)
        wait = decide(flow, first.state, Arrived(at=time.time()), info=info, limits=limits)
        store.commit(Claimed(key, "", "step", first.state, info, flow.digest, at=None), wait)
        if len(store.pending) >= AT_ONCE:
            store.flush()
    store.flush()
    client.close()
