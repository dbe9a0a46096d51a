"""Redis loses its last writes while an execution crosses shards or has given out tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from pollflow import TaskAlreadyCompleted
from pollflow.machine import ReportedSucceeded
from pollflow.store import OutboxEntry
from tests.contract.conftest import Bench
from tests.contract.flows import WAIT
from tests.contract.sub_flows import KID, before, schedule_next, token_of

LATER_SUB = """
version: v1
type: flow
steps:
  - {type: pass, name: First}
  - type: task
    name: Sub
    resourceArn: acs:fnf:::flow/child
    pattern: sync
    serviceParams: {Input: {seconds: $.seconds}, ExecutionName: kid}
"""
LATER_IN_BRANCH = """
version: v1
type: flow
steps:
  - type: parallel
    name: Both
    branches:
      - steps:
          - type: task
            name: Sub
            resourceArn: acs:fnf:::flow/child
            pattern: sync
            serviceParams: {Input: {seconds: $.seconds}, ExecutionName: kid}
"""
ANOTHER_WAY = """  - {type: task, name: Look, resourceArn: "acs:fc:::services/s/functions/look"}
  - type: choice
    name: Which
    choices:
      - {condition: $.a, goto: done}"""
TWO_ASK = """
version: v1
type: flow
steps:
  - {type: task, name: Look, resourceArn: "acs:fc:::services/s/functions/look"}
  - type: choice
    name: Which
    choices:
      - {condition: $.a, goto: AskA}
    default: {goto: AskB}
  - type: task
    name: AskA
    resourceArn: acs:fc:::services/s/functions/ask
    pattern: waitForCallback
    inputMappings: [{target: token, source: $context.task.token}]
    end: true
  - type: task
    name: AskB
    resourceArn: acs:fc:::services/s/functions/ask
    pattern: waitForCallback
    inputMappings: [{target: token, source: $context.task.token}]
"""


def picture(bench: Bench) -> Callable[[], None]:
    """Notes what Redis holds now; what is answered puts it back."""
    continued = {key: bench.redis.dump(key) for key in bench.redis.keys("*")}

    def put_back() -> None:
        bench.redis.flushall()
        for key, dump in continued.items():
            bench.redis.restore(key, 0, dump)

    return put_back


@pytest.fixture
def bench(store_url: str) -> Iterator[Bench]:
    # Texts as bytes of latin-1, so that what DUMP answers can be given back.
    with Redis.from_url(store_url, decode_responses=True, encoding="latin-1") as client:
        yield Bench(client)


@pytest.mark.parametrize("text", [LATER_SUB, LATER_IN_BRANCH], ids=["step", "branch"])
@pytest.mark.parametrize("seconds", [0, 1000], ids=["ended", "running"])
def test_a_sub_flow_from_lost_writes_is_reused_by_its_step(bench: Bench, text: str, seconds: int) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(text, {"seconds": seconds})
    before(bench, "start", picture(bench))
    bench.container.engine.handle(bench.take())
    bench.container.engine.handle(bench.take())
    assert bench.status(KID) == "Running"
    for _ in range(3):
        # The queue of the picture holds the message of the first step: the kid gets ahead of it.
        kept = bench.redis.rpop("celery")
        bench.sweep()
        bench.work()
        bench.redis.rpush("celery", kept)
        bench.pass_time(2.1)
    assert bench.status(KID) == ("Running" if seconds else "Succeeded")
    schedule_next(bench)
    if seconds:
        assert "!orphan" not in bench.wakes(KID)
        bench.pass_time(1001)
        schedule_next(bench)
    assert (bench.status(ref), bench.status(KID)) == ("Succeeded", "Succeeded")
    assert set(bench.wakes(KID)) <= {"!purge", "!cleanup"}


def test_a_sub_flow_from_lost_writes_is_stopped_when_not_needed(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    other_way = LATER_SUB.replace("  - {type: pass, name: First}", ANOTHER_WAY) + "  - {type: succeed, name: done}\n"
    bench.returns("look", {"a": False}, {"a": True})
    bench.start(other_way, {"seconds": 1000})
    before(bench, "start", picture(bench))
    for _ in range(3):
        bench.container.engine.handle(bench.take())
    kept = bench.redis.lpop("celery")
    bench.sweep()
    assert bench.status(KID) == "Running"
    bench.redis.rpush("celery", kept)
    bench.pass_time(2.1)
    schedule_next(bench)
    assert bench.status(KID) == "Stopped"


def test_a_token_from_lost_writes_does_not_match_another_step(bench: Bench) -> None:
    bench.returns("look", {"a": True}, {"a": False})
    inputs = bench.returns("ask", {})
    ref = bench.start(TWO_ASK)
    go_back = picture(bench)
    bench.work()
    go_back()
    bench.work()
    first, second = (input["token"] for input in inputs)
    with pytest.raises(TaskAlreadyCompleted):
        bench.container.engine.report(first, ReportedSucceeded({}))
    bench.container.engine.report(second, ReportedSucceeded({"v": 1}))
    bench.work()
    assert bench.output(ref)["v"] == 1


def test_a_cancellation_from_lost_writes_is_undone_by_its_step(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(LATER_SUB, {"seconds": 0})
    bench.container.engine.handle(bench.take())
    # As by a sweep that has seen the execution stopped, in a moment that Redis has lost.
    bench.container.store.cancel_child(OutboxEntry(KID, token_of(bench, ref)))
    schedule_next(bench)
    assert (bench.status(ref), bench.status(KID)) == ("Succeeded", "Succeeded")
    assert bench.container.reading.cancellations(KID) == set()
