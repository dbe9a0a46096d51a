"""Errors of the engine itself: each stage may fail, and every execution ends all the same."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from celery import Celery
from kombu import Producer
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from pollflow import FlowNotExists, Functions, StoreUnavailable, UnreadableRecord, attach
from pollflow.machine import ReportedSucceeded, Status
from pollflow.runtime import decider as decider_module
from pollflow.runtime import engine as engine_module
from pollflow.runtime import messages, subflows
from pollflow.runtime.routes import Routes
from pollflow.store import ExecutionRef, Message, MessageKey, commits, encode, transitions
from tests.contract.conftest import Bench
from tests.contract.sub_flows import CHILD_REF, run_until_idle, token_of
from tests.flows import CALLBACK, EACH, PARENT, TASK, TIMED_TASK, WAIT

LIMIT = 5
SUB = PARENT.format(pattern="sync", name="kid").replace("catch: [{errors: [FnF.ALL], goto: caught}]", "retry: []")
SUB = SUB.replace("    retry: []\n", "")


class Broken(RuntimeError):
    """An error that no rule of the engine expects."""


def breaks(*_: object, **__: object) -> Any:
    raise Broken("no such thing")


def error_of(bench: Bench, ref: ExecutionRef) -> tuple[str, str | None, str]:
    record = bench.container.reading.execution(ref)
    return record.status.value, record.error, record.cause or ""


def run_for(bench: Bench, seconds: int) -> None:
    """Handle messages, sweep and move the clock, second by second."""
    for _ in range(seconds):
        bench.work()
        bench.sweep()
        bench.work()
        bench.pass_time(1)


STAGES = {
    "decoding": (transitions, "load_state", "claim"),
    "definition": (engine_module.FlowCache, "get", "reading of the definition"),
    "call": (engine_module, "call_of", "call"),
    "decision": (decider_module, "decide_inline", "decision"),
    "encoding": (encode, "dump_state", "commit"),
    "events": (commits, "encode_events", "commit"),
    # The first error is that of the commit, the others are those of the sweep.
    "eta": ("pollflow.runtime.messages", "eta_of", "publication of the message"),
}


@pytest.mark.parametrize("name", STAGES)
def test_an_error_at_any_stage_ends_the_execution(bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target, attribute, stage = STAGES[name]
    bench.returns("call", {})
    ref = bench.start(TASK + "  - {type: wait, name: Wait, duration: 1000}\n")
    history = bench.history(ref)
    if name == "events":
        with monkeypatch.context() as patch:
            _break_until_failed(patch, bench, target, attribute)
            run_for(bench, 70)
    else:
        monkeypatch.setattr(*((f"{target}.{attribute}",) if isinstance(target, str) else (target, attribute)), breaks)
        run_for(bench, 70)
    status, error, cause = error_of(bench, ref)
    assert (status, error) == ("Failed", "FnF.RuntimeError")
    assert cause == f"the engine failed at the {stage}: Broken: no such thing"
    events = bench.history(ref)
    assert events[: len(history)] == history
    assert events[-1].type == "ExecutionFailed"


def _break_until_failed(patch: pytest.MonkeyPatch, bench: Bench, target: Any, attribute: str) -> None:
    """Break a function that `end` needs as well, except where the engine ends the execution for its errors."""
    original, fail = getattr(target, attribute), bench.container.store.fail
    patch.setattr(target, attribute, breaks)

    def unbroken_fail(*args: Any) -> bool:
        patch.setattr(target, attribute, original)
        return fail(*args)

    patch.setattr(bench.container.store, "fail", unbroken_fail)


def test_an_error_that_passes_ends_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.returns("call", {"v": 1})
    ref = bench.start(TASK)
    decide, left = decider_module.decide_inline, [None] * (LIMIT - 1)

    def decide_later(*args: Any, **options: Any) -> Any:
        return left.pop() or breaks() if left else decide(*args, **options)

    monkeypatch.setattr(decider_module, "decide_inline", decide_later)
    run_for(bench, 70)
    assert (bench.status(ref), bench.output(ref)) == ("Succeeded", {"v": 1})


def test_each_entry_has_its_own_count(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TASK + TASK.splitlines()[-1].replace("name: Call", "name: Second") + "\n"
    bench.returns("call", {})
    ref = bench.start(text)
    decide, seen = decider_module.decide_inline, dict[str, int]()

    def decide_later(flow: Any, state: Any, *args: Any, **options: Any) -> Any:
        seen[state.step_path] = seen.get(state.step_path, 0) + 1
        return breaks() if seen[state.step_path] < LIMIT else decide(flow, state, *args, **options)

    monkeypatch.setattr(decider_module, "decide_inline", decide_later)
    run_for(bench, 140)
    assert bench.status(ref) == "Succeeded"


def test_the_pause_between_two_tries_grows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = bench.start(TASK)
    tries: list[float] = []
    monkeypatch.setattr(decider_module, "decide_inline", lambda *_, **__: (tries.append(bench.now()), breaks()))
    bench.returns("call", {})
    run_for(bench, 70)
    assert bench.status(ref) == "Failed"
    assert [round(after - before) for before, after in pairwise(tries)] == [2, 4, 8, 16]


def test_an_engine_error_is_no_crash(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.build_container(max_crashes=2)
    inputs = bench.returns("call", {"v": 1})
    ref = bench.start(TASK)
    with monkeypatch.context() as patch:
        patch.setattr(decider_module, "decide_inline", breaks)
        run_for(bench, 9)
    run_for(bench, 20)
    assert len(inputs) == LIMIT - 1
    assert bench.output(ref) == {"v": 1}


@pytest.mark.parametrize("error", [StoreUnavailable("away"), UnreadableRecord()])
def test_what_another_worker_or_time_solves_is_not_counted(
    bench: Bench, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.build_container(max_crashes=1000)
    ref = bench.start(TASK)
    bench.returns("call", {})

    def fails(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(decider_module, "decide_inline", fails)
        for _ in range(100):
            if bench.queued():
                bench.handle_next()
            bench.sweep()
            bench.pass_time(10)
    assert bench.status(ref) == "Running"
    frame = bench.container.store.keys.frame(ref, "r")
    assert bench.redis.hget(frame, "engine_errors") is None
    bench.pass_time(600)
    run_until_idle(bench)
    assert bench.status(ref) == "Succeeded"


def test_an_error_of_a_stale_claim_is_not_counted(bench: Bench) -> None:
    ref = bench.start(TASK)
    key = bench.take()
    bench.claim(key, "slow.1")
    bench.pass_time(4)
    bench.claim(key, "fast.1")
    assert bench.container.store.count_error(key, "slow.1") is None
    frame = bench.container.reading.frame(ref, "r")
    assert frame is not None and frame.claim == "fast.1"
    assert bench.container.store.count_error(key, "fast.1") == 1


def test_an_error_of_an_earlier_release_is_not_counted(bench: Bench) -> None:
    ref = bench.start(TASK)
    bench.redis.hset(bench.container.store.keys.frame(ref, "r"), "layout", 999)
    assert bench.container.store.count_error(bench.take(), None) is None


def test_an_entry_that_has_moved_on_does_not_end_its_execution(bench: Bench) -> None:
    bench.returns("call", {})
    ref = bench.start(TASK + "  - {type: wait, name: Long, duration: 1000}\n")
    key = bench.take()
    bench.container.engine.handle(key)
    for _ in range(2 * LIMIT):
        assert bench.container.engine.errors.count(key, Broken("late"))
    assert bench.status(ref) == "Running"


@pytest.mark.parametrize("text", [None, "version: v1\ntype: flow\nsteps: 5\n", "{"])
@pytest.mark.parametrize("has_timeout", [False, True])
def test_a_definition_that_is_lost_or_refused_ends_its_executions(
    bench: Bench, text: str | None, has_timeout: bool
) -> None:
    ref = bench.start(TIMED_TASK if has_timeout else TASK)
    if has_timeout:
        bench.claim(nonce="dead.1")
        bench.pass_time(11)
    key = bench.container.store.keys.definition(bench.container.reading.execution(ref).digest)
    bench.redis.delete(key) if text is None else bench.redis.set(key, text)
    bench.build_container()  # without the flow in its cache
    run_for(bench, 70)
    status, error, cause = error_of(bench, ref)
    assert (status, error) == ("Failed", "FnF.RuntimeError")
    expected = "FlowNotExists" if text is None else "DefinitionError"
    assert cause.startswith(f"the engine failed at the reading of the definition: {expected}: ")
    bench.container.maintenance.purge(bench.container.reading.execution(ref))
    assert bench.wakes(ref) == {}


def break_everything(bench: Bench, monkeypatch: pytest.MonkeyPatch, ref: ExecutionRef) -> None:
    """Make definition, state, input and rules of an execution unusable."""
    keys = bench.container.store.keys
    bench.redis.hset(keys.execution(ref), mapping={"digest": "0" * 64, "input": "{"})
    for frame in bench.container.reading.frame_names(ref):
        bench.redis.hset(keys.frame(ref, frame), mapping={"state": "{", "metadata": "{", "due": "soon"})
    monkeypatch.setattr(decider_module, "decide_inline", breaks)
    monkeypatch.setattr(subflows, "call_of", breaks)


@pytest.mark.parametrize("end", ["stop", "time limit"])
def test_stop_time_limit_and_purge_work_whatever_is_broken(
    bench: Bench, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.build_container(max_engine_errors=1_000_000)
    ref = bench.start(WAIT + "timeoutSeconds: 25\n", {"seconds": 1000})
    bench.work()
    break_everything(bench, monkeypatch, ref)
    if end == "stop":
        bench.container.engine.end(bench.key(ref), Status.STOPPED, "Cancelled", "by hand")
        assert error_of(bench, ref) == ("Stopped", "Cancelled", "by hand")
    else:
        run_for(bench, 27)
        assert error_of(bench, ref) == (
            "TimedOut",
            "FnF.ExecutionTimeout",
            "the execution did not end within 25 s",
        )
    run_for(bench, 3)
    assert set(bench.wakes(ref)) == {"!purge"}
    bench.pass_time(31 * 86_400)
    bench.sweep()
    assert [key for key in bench.redis.keys("*") if str(ref) in key] == []


def test_an_execution_without_a_timeout_has_a_time_limit(bench: Bench) -> None:
    bench.build_container(max_execution_time=100.0)
    long = bench.start(CALLBACK.replace("    timeoutSeconds: 100\n", ""), name="long")
    short = bench.start(WAIT + "timeoutSeconds: 25\n", {"seconds": 1000}, name="short")
    bench.returns("ask", {})
    run_for(bench, 101)
    causes = [error_of(bench, ref)[2] for ref in (long, short)]
    assert causes == [
        "the execution did not end within 1 min 40 s, the limit of an execution (pollflow_max_execution_time)",
        "the execution did not end within 25 s",
    ]


def test_a_broken_entry_does_not_block_the_others(bench: Bench) -> None:
    refs = [bench.start(TASK, name=f"n{number}") for number in range(40)]
    bench.returns("call", {})
    bench.redis.delete("celery")
    keys = bench.container.store.keys
    for ref in refs[:10]:
        bench.redis.delete(keys.frame(ref, "r"))
        bench.redis.set(keys.frame(ref, "r"), "a text")
    for ref in refs[10:20]:
        bench.redis.hset(keys.frame(ref, "r"), "metadata", "{")
    run_for(bench, 5)
    assert {bench.status(ref) for ref in refs[20:]} == {"Succeeded"}
    run_for(bench, 60)
    assert {bench.status(ref) for ref in refs[10:20]} == {"Failed"}


def start_sub_flow(bench: Bench) -> ExecutionRef:
    bench.deploy(WAIT, "child")
    ref = bench.start(SUB, {"seconds": 1000})
    bench.work()
    return ref


def test_a_start_of_a_sub_flow_that_fails_ends_the_execution(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(SUB, {"seconds": 1000})
    monkeypatch.setattr("pollflow.runtime.starting.begin", breaks)
    run_for(bench, 70)
    assert error_of(bench, ref)[1:] == (
        "FnF.RuntimeError",
        "the engine failed at the start of the sub-flow: Broken: no such thing",
    )


def test_a_parent_that_cannot_be_notified_ends_and_others_are_notified(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = start_sub_flow(bench)
    good = bench.container.starter.start("flow", {"seconds": 1000}, "good").key.ref
    bench.work()
    frame = bench.container.store.keys.frame(broken, "r")
    bench.redis.hset(frame, "state", "{")
    bench.container.engine.end(bench.key(CHILD_REF), Status.STOPPED, "Cancelled", "by hand")
    run_for(bench, 3)
    assert error_of(bench, good)[:2] == ("Failed", "Cancelled")
    run_for(bench, 70)
    assert error_of(bench, broken)[:2] == ("Failed", "FnF.RuntimeError")
    assert "!notify" not in bench.wakes(CHILD_REF)


def test_a_purge_ends_a_parent_that_cannot_be_notified(bench: Bench) -> None:
    ref = start_sub_flow(bench)
    bench.redis.hset(bench.container.store.keys.frame(ref, "r"), "state", "{")
    bench.container.engine.end(bench.key(CHILD_REF), Status.STOPPED, "Cancelled", "by hand")
    bench.container.maintenance.purge(bench.container.reading.execution(CHILD_REF))
    assert bench.wakes(CHILD_REF) == {}
    assert error_of(bench, ref)[:2] == ("Failed", "FnF.RuntimeError")


@pytest.mark.parametrize("job", ["cleanup", "purge", "notify"])
def test_a_job_that_fails_for_a_while_is_done_later(bench: Bench, job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = start_sub_flow(bench)
    store = bench.container.store
    name = {"cleanup": "cleanup", "purge": "purge", "notify": "parents_notified"}[job]
    with monkeypatch.context() as patch:
        patch.setattr(store, name, breaks)
        bench.container.engine.end(bench.key(CHILD_REF), Status.STOPPED, "Cancelled", "by hand")
        if job == "purge":
            bench.pass_time(31 * 86_400)
        run_for(bench, 20)
        errors = int(bench.redis.hget(store.keys.execution(CHILD_REF), "job_errors"))
        assert 2 <= errors <= 5
    run_for(bench, 60)
    assert f"!{job}" not in bench.wakes(CHILD_REF)
    assert bench.status(ref) == "Failed"


def test_an_outbox_entry_that_fails_does_not_block_the_others(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = bench.start(WAIT, {"seconds": 1000})
    bench.work()
    bench.redis.hset(bench.container.store.keys.outbox(ref), mapping={"a": "child/x", "b": "child/y"})
    member = f"{ref}|{bench.key(ref).id}.1|!outbox"
    bench.redis.zadd(bench.container.store.keys.wake(ref.shard), {member: bench.now()})
    bench.redis.hset(bench.container.store.keys.execution(ExecutionRef("child", "x")), "id", "1")
    bench.sweep()
    assert [entry.token for entry in bench.container.reading.outbox(ref)] == ["a"]
    assert bench.wakes(ref)["!outbox"] > bench.now()
    bench.container.engine.end(bench.key(ref), Status.STOPPED, "", "")
    bench.container.maintenance.purge(bench.container.reading.execution(ref))
    assert bench.wakes(ref) == {}


class Outside:
    """An app in whose broker the scripts cannot publish, and a container that publishes there.

    While `error` is set, a router of the app raises it, or kombu does if `in_broker`.
    """

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch, *, in_broker: bool = False) -> None:
        self.bench, self.in_broker = bench, in_broker
        self.error: Exception | None = None
        self.published: list[MessageKey] = []
        app = Celery(broker="redis://127.0.0.1:1/0", task_routes=[self._route])
        publish = attach(app, "redis://127.0.0.1:1/1", functions=Functions()).publish
        monkeypatch.setattr(Producer, "publish", self._publish)
        bench.build_container(routes=Routes(in_script=False), publish=publish)

    def _route(self, *_: object, **__: object) -> None:
        if self.error is not None and not self.in_broker:
            raise self.error

    def _publish(self, body: Any, **_: object) -> None:
        if self.error is not None:
            raise self.error
        self.published.append(messages.key_of(body[0]))

    def run(self, seconds: int) -> None:
        """Handle the published messages, sweep and move the clock, second by second."""
        for _ in range(seconds):
            # A message that is early is published again, for a later second.
            taken, self.published = self.published, []
            for key in taken:
                self.bench.container.engine.handle(key)
            self.bench.sweep()
            self.bench.pass_time(1)

    def start_broken_at(self, path: str, error: Exception) -> ExecutionRef:
        """Start an execution whose second message cannot be published; with `start` and `sweep`, the first one."""
        self.bench.returns("call", {})
        self.error = error if path == "start" else None
        ref = self.bench.start(TASK + "  - {type: pass, name: After}\n")
        if path == "commit":
            self.error = error
            self.bench.container.engine.handle(self.published.pop())
        elif path == "sweep":
            self.published.clear()  # the message is lost
            self.error = error
            self.bench.pass_time(3)
            self.bench.sweep()
        return ref

    def errors(self, ref: ExecutionRef) -> str | None:
        """Return how many errors of the engine are counted in the entry."""
        found: str | None = self.bench.redis.hget(self.bench.container.store.keys.frame(ref, "r"), "engine_errors")
        return found


PATHS = ("start", "commit", "sweep")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("error", [TypeError("no text"), KeyError("no queue"), Broken("no such thing")])
def test_a_message_that_cannot_be_built_ends_the_execution(
    bench: Bench, path: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = Outside(bench, monkeypatch)
    ref = outside.start_broken_at(path, error)
    assert outside.errors(ref) == "1"
    outside.run(70)
    assert error_of(bench, ref) == (
        "Failed",
        "FnF.RuntimeError",
        f"the engine failed at the publication of the message: {type(error).__name__}: {error}",
    )


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "error", [OperationalError("away"), ConnectionResetError(), RedisConnectionError("away"), ResponseError("OOM")]
)
def test_a_broker_that_does_not_serve_is_not_counted(
    bench: Bench, path: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = Outside(bench, monkeypatch, in_broker=True)
    ref = outside.start_broken_at(path, error)
    outside.run(30)
    assert (bench.status(ref), outside.errors(ref)) == ("Running", None)
    outside.error = None
    outside.run(35)
    assert bench.status(ref) == "Succeeded"


def test_a_message_that_can_be_built_again_continues_the_execution(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = Outside(bench, monkeypatch)
    ref = outside.start_broken_at("commit", Broken())
    outside.run(10)
    outside.error = None
    outside.run(10)
    assert bench.status(ref) == "Succeeded"


def test_a_child_whose_message_cannot_be_built_does_not_block_its_siblings(bench: Bench) -> None:
    published: list[MessageKey] = []

    def publish(message: Message) -> None:
        if message.key.frame.endswith(".0"):
            raise Broken("no such thing")
        published.append(message.key)

    bench.build_container(routes=Routes(in_script=False), publish=publish)
    ref = bench.start(EACH, {"items": [1, 2, 3]})
    bench.container.engine.handle(published.pop())
    assert [key.frame for key in published] == ["r.1.1", "r.1.2"]
    keys = bench.container.store.keys
    counts = [bench.redis.hget(keys.frame(ref, frame), "engine_errors") for frame in ("r", "r.1.0", "r.1.1", "r.1.2")]
    assert counts == [None, "1", None, None]


def test_a_report_that_fails_is_the_error_of_its_client(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.returns("ask", {})
    ref = bench.start(CALLBACK)
    bench.work()
    token = token_of(bench, ref)
    with monkeypatch.context() as patch:
        patch.setattr(decider_module, "decide", breaks)
        for _ in range(2 * LIMIT):
            with pytest.raises(Broken):
                bench.container.engine.report(token, ReportedSucceeded({}))
    assert bench.status(ref) == "Running"
    bench.container.engine.report(token, ReportedSucceeded({"v": 1}))
    assert bench.status(ref) == "Succeeded"


def test_a_cause_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise FlowNotExists("x" * 100_000)

    monkeypatch.setattr(decider_module, "decide_inline", fails)
    bench.returns("call", {})
    ref = bench.start(TASK)
    run_for(bench, 70)
    assert len(error_of(bench, ref)[2]) < 1100
