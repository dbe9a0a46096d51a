"""Parallel and foreach steps: order of results, concurrency, duplicates and failures."""

from __future__ import annotations

from pollflow import TaskError
from tests.contract.conftest import Bench
from tests.flows import BRANCHES, EACH


def test_results_of_iterations_are_in_order_whichever_ends_first(bench: Bench) -> None:
    ref = bench.start(EACH, {"items": [0, 1, 2]})
    bench.functions.register("call", lambda input, context: {"v": input["i"] * 10})
    bench.handle_next()
    keys = [bench.take() for _ in range(3)]
    for key in reversed(keys):
        bench.container.engine.handle(key)
    bench.work()
    assert bench.output(ref) == {"all": [0, 10, 20]}


def test_iterations_run_at_most_max_concurrency_at_once(bench: Bench) -> None:
    bench.build_container(max_concurrency=4)
    ref = bench.start(EACH, {"items": list(range(50))})
    highest = 0

    def call(input: dict[str, int], context: object) -> dict[str, int]:
        nonlocal highest
        highest = max(highest, bench.redis.scard(bench.container.store.keys.frames(ref)) - 1)
        return {"v": input["item"]}

    bench.functions.register("call", call)
    bench.work()
    assert highest == 4
    assert bench.output(ref) == {"all": list(range(50))}


def test_duplicates_of_every_message_change_nothing(bench: Bench) -> None:
    bench.build_container(max_concurrency=4)
    ref = bench.start(EACH, {"items": list(range(20))})
    bench.functions.register("call", lambda input, context: {"v": input["item"]})
    while (key := bench.take_or_none()) is not None:
        bench.container.engine.handle(key)
        bench.container.engine.handle(key)
    assert bench.output(ref) == {"all": list(range(20))}
    kinds = [event.type for event in bench.history(ref)]
    assert kinds.count("IterationEntered") == kinds.count("IterationExited") == kinds.count("TaskSucceeded") == 20


def test_every_message_lost_once_is_redelivered(bench: Bench) -> None:
    bench.build_container(max_concurrency=4)
    ref = bench.start(EACH, {"items": list(range(12))})
    bench.functions.register("call", lambda input, context: {"v": input["item"]})
    seen: set[str] = set()
    for _ in range(400):
        key = bench.take_or_none()
        if key is None:
            if bench.status(ref) != "Running":
                break
            bench.pass_time(3)
            bench.sweep()
        elif key.token in seen:
            bench.container.engine.handle(key)
        seen.add(key.token if key else "")
    assert bench.output(ref) == {"all": list(range(12))}


def test_a_branch_that_fails_ends_the_execution_and_its_siblings(bench: Bench) -> None:
    ref = bench.start(BRANCHES)
    bench.returns("left", TaskError("Broken", "badly"))
    bench.handle_next()
    bench.handle_next()
    bench.handle_next()
    record = bench.container.reading.execution(ref)
    assert (record.status.value, record.error, record.cause) == ("Failed", "Broken", "badly")
    failed = [event.step for event in bench.history(ref) if event.type == "StepFailed"]
    assert failed == ["Left", "Both"]
    bench.pass_time(200)
    bench.sweep()
    bench.work()
    assert bench.history(ref)[-1].type == "ExecutionFailed"
    assert set(bench.wakes(ref)) == {"!purge"}
    assert bench.redis.scard(bench.container.store.keys.frames(ref)) == 0


def test_stored_data_does_not_grow_with_ended_iterations(bench: Bench) -> None:
    bench.build_container(max_concurrency=4)
    ref = bench.start(EACH, {"items": list(range(40))})
    bench.functions.register("call", lambda input, context: {"v": 1})
    bench.work()
    bench.sweep()
    keys = [key for key in bench.redis.keys("*") if str(ref) in key]
    assert sorted(key.split(":")[2] for key in keys) == ["execution", "history"]


def test_consecutive_map_steps_have_their_own_children(bench: Bench) -> None:
    second = EACH.partition("steps:\n")[2].replace("name: Each", "name: Again")
    ref = bench.start(EACH + second, {"items": [1, 2]})
    bench.functions.register("call", lambda input, context: {"v": input["item"]})
    bench.work()
    assert bench.output(ref) == {"all": [1, 2]}
    kinds = [event.type for event in bench.history(ref)]
    assert kinds.count("IterationEntered") == kinds.count("IterationExited") == 4
