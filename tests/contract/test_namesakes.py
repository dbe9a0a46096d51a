"""Nothing that belongs to a purged execution changes its namesake, a later execution of the same name."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from pollflow.errors import ExecutionNotExists, InvalidTaskToken
from pollflow.machine import ReportedSucceeded, Status
from pollflow.machine.callback import task_token
from pollflow.store import ExecutionKey, ExecutionRef, FrameRecord, WakeUp, commands
from pollflow.store.commands import Script
from tests.contract.conftest import Bench
from tests.flows import ASK
from tests.scripts import SCRIPTS

REF = ExecutionRef("flow", "x")
GUARDED = sorted(name for name, kind in SCRIPTS.items() if name != "start" and "execution" in kind.__dataclass_fields__)


def arguments(name: str, key: ExecutionKey, frame: FrameRecord) -> Script[Any]:
    """Return script arguments with the given key that otherwise match the namesake: token, claim and counts."""
    message = commands.MessageText("head", "tail")
    entry = commands.NextEntry(
        token="next", layout=1, state="{}", kind="step", metadata="[]", step="Call", attempt=1, message=message
    )
    values: dict[str, Any] = {
        "execution": key,
        "frame": "r",
        "token": None if name == "end" else frame.token,
        "nonce": frame.claim,
        "worker": "w",
        "sent": frame.sent,
        "layout": frame.layout,
        "next": entry,
        "message": message,
        "status": "Stopped",
        "job": "deadline",
        "name": "r",
        "names": ("r",),
        "events": (),
        "values": {},
        "fields": {},
        "children": (),
        "changes": (commands.Change("token", frame.token, "changed"),),
        "block": "block",
        "joining_token": "joining",
        "parent_frame": "r",
        "parent_token": frame.token,
        "is_returned": False,
        "is_counted": True,
    }
    fallbacks: dict[str, Any] = {"str": "text", "int": 0, "float": 1.0}
    kind = SCRIPTS[name]
    arguments = {}
    for field in fields(kind):
        arguments[field.name] = values.get(field.name, fallbacks.get(str(field.type)))
    return kind(**arguments)  # type: ignore[no-any-return]


def keys_of(bench: Bench, name: str) -> dict[str, Any]:
    keys = bench.container.store.keys
    named: dict[str, Any] = {
        "execution": keys.execution(REF),
        "frame": keys.frame(REF),
        "parent_frame": keys.frame(REF),
        "results": keys.results(REF, "r"),
        "parent_results": keys.results(REF, "r"),
        "wake": keys.wake(REF.shard),
        "audit": keys.audit(),
        "queue": "celery",
        "target": keys.frame(REF),
        "child_keys": [],
        "frame_keys": [keys.frame(REF)],
    }
    names = [key.rstrip("*") for key in SCRIPTS[name].KEYS]
    for key in names:
        if key.endswith("index"):
            named[key] = keys.index(REF.shard, None, Status.RUNNING)
        elif key not in named:
            named[key] = getattr(keys, key)(REF)
    return {key: named[key] for key in names}


def contents(bench: Bench) -> dict[str, Any]:
    return {key: bench.redis.dump(key) for key in bench.redis.keys("*")}


def recreated(bench: Bench) -> tuple[ExecutionKey, ExecutionKey]:
    """Purge an execution and start a namesake, whose call runs. Return the keys of both."""
    bench.returns("call", {})
    bench.start(ASK)
    first = bench.key(REF)
    bench.container.engine.end(first, Status.STOPPED, "", "")
    bench.container.maintenance.purge(bench.container.reading.execution(REF))
    bench.work()
    bench.start(ASK)
    bench.claim()
    second = bench.key(REF)
    assert first.ref == second.ref and first.id != second.id
    return first, second


@pytest.mark.parametrize("name", GUARDED)
def test_no_script_for_a_purged_execution_touches_its_namesake(bench: Bench, name: str) -> None:
    first, _ = recreated(bench)
    frame = bench.container.reading.frame(REF, "r")
    assert frame is not None
    before = contents(bench)
    reply = bench.container.store.scripts.run(arguments(name, first, frame), keys_of(bench, name))
    assert contents(bench) == before, reply


@pytest.mark.parametrize("name", GUARDED)
def test_no_script_for_a_later_incarnation_touches_the_execution(bench: Bench, name: str) -> None:
    _, second = recreated(bench)
    frame = bench.container.reading.frame(REF, "r")
    assert frame is not None
    before = contents(bench)
    later = ExecutionKey(second.ref, second.id, incarnation=2)
    bench.container.store.scripts.run(arguments(name, later, frame), keys_of(bench, name))
    assert contents(bench) == before


def test_a_wake_up_of_a_purged_execution_is_removed(bench: Bench) -> None:
    first, second = recreated(bench)
    wake = bench.container.store.keys.wake(REF.shard)
    for stale in (WakeUp(first, frame="r"), WakeUp(first, job="deadline"), WakeUp(first, job="cleanup")):
        bench.redis.zadd(wake, {str(stale): 1.0})
    bench.sweep()
    left = {str(WakeUp(second, frame="r")), str(WakeUp(second, job="deadline"))}
    assert set(bench.redis.zrange(wake, 0, -1)) == left
    assert bench.status(REF) == "Running"


def test_a_task_token_of_a_purged_execution_reports_nothing(bench: Bench) -> None:
    bench.returns("call", {})
    bench.start(ASK)
    record, frame = bench.container.reading.execution(REF), bench.container.reading.frame(REF, "r")
    assert frame is not None
    token = task_token(record.info, frame.state)
    bench.container.engine.end(record.key, Status.STOPPED, "", "")
    bench.container.maintenance.purge(bench.container.reading.execution(REF))
    bench.start(ASK)
    with pytest.raises(InvalidTaskToken):
        bench.container.engine.report(token, ReportedSucceeded({}))
    assert bench.status(REF) == "Running"


def test_a_handle_of_a_purged_execution_stops_nothing(bench: Bench) -> None:
    first, _ = recreated(bench)
    with pytest.raises(ExecutionNotExists):
        bench.container.engine.end(first, Status.STOPPED, "", "")
    assert bench.status(REF) == "Running"
