"""What the engine says that a message led to: the state and the result of its Celery task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import Retry
from celery.worker.request import Request
from redis.exceptions import ConnectionError as ConnectionLost

from pollflow import StepError, TaskError
from pollflow.machine import Status
from pollflow.runtime.handled import Handled, HandledAs
from pollflow.runtime.step_queues import StepQueues
from pollflow.runtime.tasks import add_tasks
from tests.contract.conftest import Bench
from tests.flows import BRANCHES, CALLBACK, EACH_PASS, LOOP, RETRIES, TASK, WAIT

CAUGHT = """
version: v1
type: flow
steps:
  - type: task
    name: Call
    resourceArn: acs:fc:::services/s/functions/call
    catch: [{errors: [Missing], goto: Report}]
  - {type: succeed, name: Done}
  - {type: pass, name: Report}
"""
FAIL = """
version: v1
type: flow
steps:
  - {type: fail, name: Refuse, error: Refused, cause: not today}
"""


def committed(text: str) -> Handled:
    return Handled(HandledAs.COMMITTED, text)


def handle_all(bench: Bench) -> list[Handled]:
    """Handle messages until the queue is empty; pass the time of each countdown. Return what each message led to."""
    found = []
    while (key := bench.take_or_none()) is not None:
        record = bench.container.reading.frame(key.ref, key.frame)
        if record is not None:
            bench.pass_time(max(0.0, record.due - bench.now()))
        found.append(bench.container.engine.handle(key))
    return found


@pytest.mark.parametrize(
    ("flow", "texts"),
    [
        (WAIT, ["waits 5 s", "the execution succeeded"]),
        (CALLBACK, ["waits for a report or a sub-flow"]),
        (LOOP, ["waits 5 s", "next: Check", "the execution succeeded"]),
        (
            EACH_PASS,
            [
                "branches or iterations run",
                "iteration 0 ended",
                "iteration 1 ended",
                "the execution succeeded",
            ],
        ),
    ],
)
def test_a_committed_step_says_what_follows(bench: Bench, flow: str, texts: list[str]) -> None:
    bench.returns("ask", {})
    bench.returns("status", {"done": True})
    bench.start(flow, {"seconds": 5, "items": ["secret", "secret"]})
    assert handle_all(bench) == [committed(text) for text in texts]


def test_a_call_that_is_retried_says_error_and_pause(bench: Bench) -> None:
    bench.returns("call", TaskError("Busy", "later"), TaskError("Other", "broken"))
    bench.start(RETRIES)
    assert handle_all(bench) == [
        Handled(HandledAs.RETRIED, "attempt 2 in 10 s", "Busy", "later", 10),
        Handled(HandledAs.FAILED, "the execution failed", "Other", "broken"),
    ]


def test_an_error_that_is_caught_is_no_failure(bench: Bench) -> None:
    bench.returns("call", TaskError("Missing", "gone"))
    bench.start(CAUGHT)
    assert handle_all(bench) == [committed("caught Missing; next: Report"), committed("the execution succeeded")]


@pytest.mark.parametrize(
    ("flow", "result", "error", "cause"),
    [
        (TASK, ValueError("bad"), "ValueError", "bad"),
        (TASK, [1], "FnF.InvalidLocal", "the result must be a JSON object, not list"),
        (FAIL, {}, "Refused", "not today"),
        (BRANCHES, TaskError("Broken", "left"), "Broken", "left"),
    ],
)
def test_a_step_that_ends_the_execution_as_failed_says_so(
    bench: Bench, flow: str, result: Any, error: str, cause: str
) -> None:
    bench.returns("call", result)
    bench.returns("left", result)
    bench.start(flow)
    failed = Handled(HandledAs.FAILED, "the execution failed", error, cause)
    assert failed in handle_all(bench)


def test_a_message_that_changes_nothing_says_why(bench: Bench) -> None:
    ref = bench.start(TASK)
    bench.functions.register("call", lambda input, context: bench.container.engine.end(key, Status.STOPPED, "", ""))
    key, message = bench.key(ref), bench.take()
    handle = bench.container.engine.handle
    assert handle(message) == Handled(
        HandledAs.IGNORED, "ignored: another worker, a timeout or a stop came first (stale)"
    )
    assert handle(message) == Handled(HandledAs.IGNORED, "ignored: a stale or duplicate message (stale)")


def test_a_message_that_redis_cannot_serve_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.start(TASK)
    message = bench.take()

    def refuse(*args: object, **options: object) -> None:
        raise ConnectionLost("Connection refused")

    monkeypatch.setattr(type(bench.redis), "execute_command", refuse)
    assert bench.container.engine.handle(message).text.startswith("ignored: Redis does not serve")


@pytest.fixture
def tasks(request: pytest.FixtureRequest) -> Any:
    """Return the step task of an app whose engine says `request.param`."""
    app = Celery(set_as_current=False)
    add_step_tasks(app, lambda *_: request.param)
    return app.tasks["pollflow.task"]


def add_step_tasks(app: Celery, handle: Callable[..., Handled]) -> None:
    add_tasks(app, StepQueues.of(app, "pollflow"), Request, handle=handle, sweep=lambda: 0)


ARGS = ("flow", "x", "id", 1, "r", "token")


@pytest.mark.parametrize("tasks", [committed("next: A")], indirect=True)
def test_the_result_of_a_task_is_the_text(tasks: Any) -> None:
    assert tasks(*ARGS) == "next: A"


@pytest.mark.parametrize("tasks", [Handled(HandledAs.FAILED, "", "Broken", "x" * 5000)], indirect=True)
def test_a_failed_task_raises_an_expected_error_of_limited_size(tasks: Any) -> None:
    with pytest.raises(StepError) as raised:
        tasks(*ARGS)
    assert isinstance(raised.value, tasks.throws)
    assert (raised.value.error, len(raised.value.cause)) == ("Broken", 1000)


@pytest.mark.parametrize("tasks", [Handled(HandledAs.RETRIED, "", "Busy", "later", 10)], indirect=True)
def test_a_retried_task_raises_retry_and_schedules_nothing(tasks: Any) -> None:
    with pytest.raises(Retry) as raised:
        tasks(*ARGS)
    assert str(raised.value) == "Retry in 10s: StepError('Busy: later')"


def test_two_apps_of_one_process_have_their_own_tasks() -> None:
    apps = [Celery(set_as_current=False) for _ in range(3)]
    for number, app in enumerate(apps[:2]):
        add_step_tasks(app, lambda *_, number=number: committed(f"app {number}"))  # type: ignore[misc]
    assert [app.tasks["pollflow.task"](*ARGS) for app in apps[:2]] == ["app 0", "app 1"]
    assert "pollflow.task" not in apps[2].tasks
