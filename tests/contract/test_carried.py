"""A message carries the state of its step: such a step needs no claim, and the message cannot change what happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pollflow import AesGcmCodec
from pollflow.fdl import read_flow
from pollflow.machine import ReportedSucceeded, Status
from pollflow.runtime.definitions import KnownFlows
from pollflow.runtime.handled import HandledAs
from pollflow.store import Carried, MessageKey, Sealer
from pollflow.store.encode import MAX_CARRIED_BYTES
from tests.contract.conftest import Bench
from tests.contract.sub_flows import token_of
from tests.flows import EACH_PASS, TASK, WAIT

PASSES = """
version: v1
type: flow
steps:
  - {type: pass, name: A}
  - {type: pass, name: B}
  - {type: choice, name: C, choices: [{condition: $.n == 1, goto: D}]}
  - {type: succeed, name: D}
"""
OTHER = """
version: v1
type: flow
steps:
  - {type: choice, name: X, choices: [{condition: $.n == 1, steps: [{type: pass, name: Y}]}]}
"""
POLL = """
version: v1
type: flow
steps:
  - {type: wait, name: Pause, duration: 5}
  - {type: task, name: Ask, resourceArn: "acs:fc:::services/s/functions/ask"}
  - {type: choice, name: Look, choices: [{condition: "!$.done", goto: Pause}]}
"""


def scripts_of(bench: Bench, action: Callable[[], object]) -> list[str]:
    """Return the names of the scripts that the action runs."""
    names, scripts = list[str](), bench.container.store.scripts
    run = scripts.run
    scripts.run = lambda script, keys: (names.append(script.NAME), run(script, keys))[1]  # type: ignore[method-assign]
    try:
        action()
    finally:
        scripts.run = run  # type: ignore[method-assign]
    return names


def test_a_step_that_calls_nothing_takes_one_script(bench: Bench) -> None:
    ref = bench.start(PASSES, {"n": 1})
    assert scripts_of(bench, bench.work) == ["advance", "advance", "advance", "end"]
    assert bench.status(ref) == "Succeeded"


def test_only_the_first_step_of_a_start_at_the_time_of_the_script_is_claimed(bench: Bench) -> None:
    """The script then chooses the time, and may write it with more digits than Python."""
    bench.deploy(PASSES)
    client = replace(bench.container.starter, known=KnownFlows())
    client.start("flow", {"n": 1}, "first")
    bench.work()
    ref = client.start("flow", {"n": 1}, "second").key.ref
    assert scripts_of(bench, bench.work) == ["claim", "advance", "advance", "advance", "end"]
    assert bench.status(ref) == "Succeeded"


def test_the_end_of_a_wait_leases_the_call_in_one_script(bench: Bench) -> None:
    bench.returns("ask", {"done": False})
    bench.start(POLL)
    bench.handle_next()
    bench.pass_time(5)
    assert scripts_of(bench, bench.handle_next) == ["advance", "advance"]
    assert scripts_of(bench, bench.handle_next) == ["advance"]


def test_the_call_after_a_wait_has_the_secret_of_its_execution(bench: Bench) -> None:
    """It signs the task tokens of callbacks."""
    text = POLL.replace(
        'functions/ask"',
        'functions/ask", pattern: waitForCallback, inputMappings: [{target: token, source: $context.task.token}]',
    ).replace("!$.done", "!$.ok")
    found = []
    bench.functions.register("ask", lambda input, context: found.append(input["token"]))
    ref = bench.start(text)
    bench.handle_next()
    bench.pass_time(5)
    bench.handle_next()
    assert found == [token_of(bench, ref)]
    bench.container.engine.report(found[0], ReportedSucceeded({"ok": True}))
    bench.work()
    assert bench.status(ref) == "Succeeded"


@pytest.mark.parametrize(
    "change",
    [
        lambda carried: replace(carried, state=carried.state.replace('"n":1', '"n":2')),
        lambda carried: replace(carried, digest="0" * 64),
        lambda carried: replace(carried, digest=read_flow(OTHER).digest),
        lambda carried: replace(carried, started_at=1.0),
        lambda carried: replace(carried, state="{"),
        lambda carried: replace(carried, state="{}"),
        lambda carried: replace(carried, layout=99),
    ],
    ids=["state", "no-definition", "other-definition", "start", "no-json", "no-state", "later-layout"],
)
def test_what_a_message_says_counts_only_if_it_is_stored(bench: Bench, change: Callable[[Carried], Carried]) -> None:
    ref = bench.start(PASSES, {"n": 1})
    bench.deploy(OTHER, "other")
    while (found := bench.take_message()) is not None:
        key, carried = found
        assert carried is not None
        bench.container.engine.handle(key, change(carried))
    assert [event.step for event in bench.history(ref) if event.type == "StepEntered"] == ["A", "B", "C", "D"]
    assert bench.status(ref) == "Succeeded"


def test_a_duplicate_changes_nothing(bench: Bench) -> None:
    ref = bench.start(PASSES, {"n": 1})
    found = bench.take_message()
    assert found is not None
    bench.container.engine.handle(*found)
    before = len(bench.history(ref))
    assert bench.container.engine.handle(*found).kind is HandledAs.IGNORED
    assert len(bench.history(ref)) == before


def test_an_early_message_is_published_again(bench: Bench) -> None:
    bench.start(WAIT, {"seconds": 30})
    bench.handle_next()
    assert "early" in bench.container.engine.handle(*taken(bench)).text
    (again,) = bench.queued()
    assert again["headers"]["eta"] is not None


def test_a_stopped_execution_refuses_the_message(bench: Bench) -> None:
    ref = bench.start(PASSES, {"n": 1})
    found = taken(bench)
    bench.container.engine.end(bench.key(ref), Status.STOPPED, "Cancelled", "by hand")
    assert bench.container.engine.handle(*found).kind is HandledAs.IGNORED
    assert bench.status(ref) == "Stopped"


@pytest.mark.parametrize(
    ("text", "input"),
    [
        (PASSES, {"n": 1, "long": "x" * MAX_CARRIED_BYTES}),
        (PASSES, {"n": 1, "password": "correct horse"}),
        (PASSES, {"n": 1, "url": "redis://user:correct-horse@host"}),
        (TASK, {}),
    ],
    ids=["long", "masked", "password-of-a-url", "call"],
)
def test_a_message_carries_no_long_state_no_secret_and_no_call(bench: Bench, text: str, input: dict[str, Any]) -> None:
    bench.start(text, input)
    assert taken(bench)[1] is None


def test_the_steps_of_branches_and_iterations_are_claimed(bench: Bench) -> None:
    ref = bench.start(EACH_PASS, {"items": [1, 2]})
    bench.handle_next()
    assert [taken(bench)[1] for _ in range(2)] == [None, None]
    bench.sweep()
    bench.pass_time(5)
    bench.sweep()
    bench.work()
    assert bench.status(ref) == "Succeeded"


@pytest.mark.parametrize(
    "step",
    [
        "{type: pass, name: B, outputMappings: [{target: e, source: $context.step.eventId}]}",
        '{type: wait, name: B, timestamp: "2000-01-01T00:00:00Z"}',
    ],
    ids=["event-id", "timestamp"],
)
def test_a_step_that_depends_on_events_or_time_is_claimed(bench: Bench, step: str) -> None:
    ref = bench.start(f"version: v1\ntype: flow\nsteps:\n  - {step}\n")
    assert scripts_of(bench, bench.handle_next)[0] == "claim"
    bench.work()
    assert bench.status(ref) == "Succeeded"


def test_a_wait_until_a_moment_is_started_by_a_claim_of_its_own(bench: Bench) -> None:
    """Its limit depends on the time, which the message before it does not know."""
    text = PASSES.replace("{type: pass, name: B}", '{type: wait, name: B, timestamp: "9999-01-01T00:00:00Z"}')
    ref = bench.start(text, {"n": 1})
    bench.work()
    execution = bench.container.reading.execution(ref)
    assert execution.status.value == "Failed"
    assert "max_wait" in execution.cause


def test_a_codec_encodes_what_a_message_carries(bench: Bench) -> None:
    bench.build_container(sealer=Sealer(AesGcmCodec({"k": b"k" * 32})))
    ref = bench.start(PASSES, {"n": 1, "password": "correct horse"})
    (message,) = bench.queued()
    found = taken(bench)
    assert found[1] is not None
    assert "correct horse" not in found[1].state
    assert "correct horse" not in str(message)
    bench.container.engine.handle(*found)
    bench.work()
    assert bench.status(ref) == "Succeeded"


def test_a_message_from_before_a_rotation_is_claimed(bench: Bench) -> None:
    keys = {"new": b"n" * 32, "old": b"o" * 32}
    bench.build_container(sealer=Sealer(AesGcmCodec({"old": keys["old"]})))
    ref = bench.start(PASSES, {"n": 1})
    found = taken(bench)
    container = bench.build_container(sealer=Sealer(AesGcmCodec(keys)))
    container.store.rotate(ref)
    assert scripts_of(bench, lambda: container.engine.handle(*found)) == ["advance", "claim", "advance"]
    bench.work()
    assert bench.status(ref) == "Succeeded"


def test_a_worker_without_the_key_leaves_the_message_to_others(bench: Bench) -> None:
    bench.build_container(sealer=Sealer(AesGcmCodec({"k": b"k" * 32})))
    ref = bench.start(PASSES, {"n": 1})
    container = bench.build_container()
    assert "published again" in container.engine.handle(*taken(bench)).text
    assert bench.status(ref) == "Running"


def taken(bench: Bench) -> tuple[MessageKey, Carried | None]:
    found = bench.take_message()
    assert found is not None
    return found
