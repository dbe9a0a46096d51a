"""Helpers of the tests of callbacks and sub-flows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pollflow.machine import Status
from pollflow.machine.callback import task_token
from pollflow.store import Claimed, ExecutionRef
from pollflow.store.commands import Script
from tests.contract.conftest import Bench
from tests.contract.flows import CALLBACK

KID = ExecutionRef("child", "kid")


def ask(bench: Bench) -> tuple[ExecutionRef, str]:
    """An execution that waits for a report, and its token."""
    inputs = bench.returns("ask", {"ignored": True})
    ref = bench.start(CALLBACK)
    bench.work()
    return ref, inputs[0]["token"]


def schedule_next(bench: Bench) -> None:
    """Handle messages and sweep until nothing is due."""
    while bench.work() + bench.sweep() + bench.work():
        pass


def before(bench: Bench, name: str, act: Callable[[], Any]) -> None:
    """Does something just before the next run of a script."""
    once, left = bench.container.store.scripts.run, [act]

    def run(script: Script[Any], keys: Any) -> Any:
        if name == script.NAME and left:
            left.pop()()
        return once(script, keys)

    bench.container.store.scripts.run = run  # type: ignore[method-assign, assignment]


def die(*_: object, **__: object) -> None:
    raise SystemExit


def die_at_commit(bench: Bench, ref: ExecutionRef, *, committed: bool = False) -> None:
    """Lets the process die that next commits for an execution, just before or just after it has."""
    commit, left = bench.container.store.commit, [None]

    def commit_and_die(claimed: Claimed, *args: Any, **options: Any) -> Any:
        is_last = claimed.key.ref == ref and bool(left)
        result = commit(claimed, *args, **options) if committed or not is_last else None
        if is_last:
            left.clear()
            raise SystemExit
        return result

    bench.container.store.commit = commit_and_die  # type: ignore[method-assign]


def token_of(bench: Bench, ref: ExecutionRef) -> str:
    """The task token of the step that an execution is at."""
    frame = bench.container.reading.frame(ref, "r")
    assert frame is not None
    return task_token(bench.container.reading.execution(ref).info, frame.state)


def stop_before_start(bench: Bench, ref: ExecutionRef) -> None:
    """Stops an execution, and sweeps, just before its sub-flow is started."""

    def stop() -> None:
        bench.container.engine.end(bench.key(ref), Status.STOPPED, "Cancelled", "by hand")
        bench.sweep()

    before(bench, "start", stop)


def claim_next(bench: Bench) -> Claimed:
    key = bench.take()
    assert key is not None
    claimed = bench.container.store.claim(key, "w.1")
    assert isinstance(claimed, Claimed)
    return claimed
