"""Helpers for tests of callbacks, sub-flows and lost writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pollflow.machine import Status
from pollflow.machine.callback import task_token
from pollflow.store import Claimed, ExecutionRef
from pollflow.store.commands import Script
from tests.contract.conftest import Bench
from tests.flows import CALLBACK

CHILD_REF = ExecutionRef("child", "kid")


def ask(bench: Bench) -> tuple[ExecutionRef, str]:
    """Start an execution that waits for a report. Return its ref and its task token."""
    inputs = bench.returns("ask", {"ignored": True})
    ref = bench.start(CALLBACK)
    bench.work()
    return ref, inputs[0]["token"]


def run_until_idle(bench: Bench) -> None:
    """Handle messages and sweep until nothing is due."""
    while bench.work() + bench.sweep() + bench.work():
        pass


def before_script(bench: Bench, name: str, action: Callable[[], Any]) -> None:
    """Call `action` once, before the next run of a script."""
    run_script, pending = bench.container.store.scripts.run, [action]

    def run(script: Script[Any], keys: Any) -> Any:
        if name == script.NAME and pending:
            pending.pop()()
        return run_script(script, keys)

    bench.container.store.scripts.run = run  # type: ignore[method-assign]


def die(*_: object, **__: object) -> None:
    raise SystemExit


def die_at_commit(bench: Bench, ref: ExecutionRef, *, committed: bool = False) -> None:
    """Exit the process at its next commit for an execution: before the commit, or after it if `committed`."""
    commit, pending = bench.container.store.commit, [None]

    def commit_and_die(claimed: Claimed, *args: Any, **options: Any) -> Any:
        exits = claimed.key.ref == ref and bool(pending)
        result = commit(claimed, *args, **options) if committed or not exits else None
        if exits:
            pending.clear()
            raise SystemExit
        return result

    bench.container.store.commit = commit_and_die  # type: ignore[method-assign]


def token_of(bench: Bench, ref: ExecutionRef) -> str:
    """Return the task token of the current step of an execution."""
    frame = bench.container.reading.frame(ref, "r")
    assert frame is not None
    return task_token(bench.container.reading.execution(ref).info, frame.state)


def stop_before_start(bench: Bench, ref: ExecutionRef) -> None:
    """Stop an execution and sweep, just before its sub-flow is started."""

    def stop() -> None:
        bench.container.engine.end(bench.key(ref), Status.STOPPED, "Cancelled", "by hand")
        bench.sweep()

    before_script(bench, "start", stop)


def snapshot(bench: Bench) -> Callable[[], None]:
    """Copy the content of Redis. Return a function that restores it, as a crash with lost writes does."""
    dumps = {key: bench.redis.dump(key) for key in bench.redis.keys("*")}

    def restore() -> None:
        bench.redis.flushall()
        for key, dump in dumps.items():
            bench.redis.restore(key, 0, dump)

    return restore
