"""The codec of an app: what Redis holds of the data of users, and what a worker or client with the key makes of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from pollflow import AesGcmCodec, Codec, ConfigurationError, DamagedRecord, MissingKey, TaskError, ZstdCodec
from pollflow.client.description import StepState, describe
from pollflow.machine import ReportedFailed, ReportedSucceeded, Status
from pollflow.store import CLEAR, AbsentCodec, CodecContext, ExecutionRef, Sealer
from pollflow.store.compaction import BLOCK
from tests.canaries import contents, keys_with
from tests.contract.conftest import Bench
from tests.flows import WAIT

CANARY = "c4nary"
LONG = f"{CANARY}-" * 60
KEYS = {"k1": b"1" * 32, "k2": b"2" * 32}
AES = Sealer(AesGcmCodec(KEYS))
BOTH = Sealer(ZstdCodec(AesGcmCodec(KEYS)))

EVERYTHING = """
version: v1
type: flow
steps:
  - {type: pass, name: Look}
  - {type: wait, name: Wait, duration: 5}
  - type: task
    name: Call
    resourceArn: acs:fc:::services/s/functions/call
    retry: [{errors: [Busy], intervalSeconds: 1, maxAttempts: 3}]
    outputMappings: [{target: called, source: $local.v}]
  - type: task
    name: Caught
    resourceArn: acs:fc:::services/s/functions/caught
    catch: [{errors: [FnF.ALL], goto: Choose}]
  - type: choice
    name: Choose
    choices: [{condition: $.word != "", goto: Both}]
  - type: parallel
    name: Both
    branches:
      - steps:
          - {type: wait, name: Pause, duration: 3}
          - {type: task, name: Left, resourceArn: "acs:fc:::services/s/functions/left"}
      - steps: [{type: pass, name: Right}]
    outputMappings: [{target: both, source: "$local[*]"}]
  - type: foreach
    name: Each
    iterationMapping: {collection: $.items, item: item, index: i}
    steps:
      - {type: task, name: Item, resourceArn: "acs:fc:::services/s/functions/item"}
    outputMappings: [{target: all, source: "$local[*]"}]
  - type: task
    name: Ask
    resourceArn: acs:fc:::services/s/functions/ask
    pattern: waitForCallback
    inputMappings: [{target: token, source: $context.task.token}, {target: word, source: $.word}]
    outputMappings: [{target: answer, source: $local.answer}]
  - type: task
    name: Sub
    resourceArn: acs:fnf:::flow/child
    pattern: sync
    serviceParams: {Input: {word: $.word, long: $.long}, ExecutionName: kid}
    outputMappings: [{target: sub, source: $local}]
"""
CHILD = """
version: v1
type: flow
steps:
  - {type: wait, name: Rest, duration: 2}
  - {type: task, name: Fail, resourceArn: "acs:fc:::services/s/functions/child"}
outputMappings: [{target: v, source: $local.v}]
"""
TIMED = """
version: v1
type: flow
timeoutSeconds: 60
steps:
  - type: task
    name: Slow
    resourceArn: acs:fc:::services/s/functions/slow
    pattern: waitForCallback
    timeoutSeconds: 10
    catch: [{errors: [FnF.ALL], goto: Long}]
  - {type: wait, name: Long, duration: 1000}
"""
FAILING = """
version: v1
type: flow
steps:
  - {type: task, name: Break, resourceArn: "acs:fc:::services/s/functions/break"}
"""
INPUT = {"word": CANARY, "long": LONG, "items": [f"{CANARY}{i}" for i in range(5)]}


def part_of_everything(first: str, end: str | None = None) -> str:
    """Return the flow with the steps from the type `first` up to `end`."""
    until = None if end is None else EVERYTHING.index(f"  - type: {end}")
    return EVERYTHING[: EVERYTHING.index("  - ")] + EVERYTHING[EVERYTHING.index(f"  - type: {first}") : until]


def register_functions(bench: Bench) -> None:
    bench.returns("call", TaskError("Busy", f"try {CANARY} later"), {"v": LONG})
    bench.returns("caught", ValueError(f"no {CANARY} here"))
    bench.returns("left", {"v": [LONG, CANARY]})
    bench.functions._functions.pop("item", None)
    bench.functions.register("item", lambda input, context: {"v": f"{input['item']} {LONG}"})
    bench.returns("child", {"v": f"{CANARY} child"})
    bench.returns("slow", {})
    bench.returns("break", RuntimeError(f"the password is {CANARY}"))


def run_everything(bench: Bench, sealer: Sealer) -> dict[str, Any]:
    """Run steps of all types, a stop, timeouts and failures. Return all that users can read of it afterwards."""
    bench.build_container(sealer=sealer)
    register_functions(bench)
    inputs = bench.returns("ask", {})
    engine = bench.container.engine
    bench.deploy(CHILD, "child")
    refs = [bench.start(EVERYTHING, INPUT, "all")]
    for name, text in (("timed", TIMED), ("failing", FAILING), ("stopped", WAIT)):
        bench.deploy(text, name)
        bench.container.starter.start(name, {**INPUT, "seconds": 1000}, "x")
        refs.append(ExecutionRef(name, "x"))
    seen: set[str] = set()
    for second in range(40):
        seen |= work(bench)
        bench.sweep()
        seen |= work(bench) | canaries_in(bench)
        if inputs and inputs[-1]["token"]:
            engine.report(inputs.pop()["token"], ReportedSucceeded({"answer": f"{CANARY} approved", "long": LONG}))
        if second == 20:
            engine.end(bench.key(refs[-1]), Status.STOPPED, "Enough", f"because of {CANARY}")
        bench.pass_time(5)
    assert not seen or sealer.codec is None
    assert sealer.codec is not None or seen  # otherwise the test looks for the wrong thing
    refs.append(ExecutionRef("child", "kid"))
    return {str(ref): normalized(bench, ref) for ref in refs}


def work(bench: Bench) -> set[str]:
    """Handle messages until the queue is empty. The time of a countdown passes, except for long waits.

    Return the keys in which the canary was readable after some message.
    """
    seen: set[str] = set()
    while (key := bench.take_or_none()) is not None:
        record = bench.container.reading.frame(key.ref, key.frame)
        if record is not None and record.due - bench.now() > 10:
            continue  # the sweep publishes it again when it is due
        if record is not None:
            bench.pass_time(max(0.0, record.due - bench.now()))
        bench.container.engine.handle(key)
        seen |= canaries_in(bench)
    return seen


def canaries_in(bench: Bench) -> set[str]:
    """Return the keys of Redis in which the canary is readable."""
    return keys_with(bench.redis, CANARY)


def normalized(bench: Bench, ref: ExecutionRef) -> Any:
    """Return what users can read of an execution, without random ids."""
    record = bench.container.reading.execution(ref)
    events = [
        (e.id, e.cause, e.at, e.type, e.step, re.sub(r"'token': '[^']+'", "'token': ''", repr(e.detail)))
        for e in bench.history(ref)
    ]
    what = (record.status.value, record.input, record.output, record.error, record.cause, events)
    return repr(what).replace(record.id, "ID")


def test_a_run_with_encryption_is_as_one_without(bench: Bench) -> None:
    check_run(bench, AES)


@pytest.mark.parametrize("sealer", [BOTH, Sealer(ZstdCodec())], ids=["both", "zstd"])
def test_a_run_with_compression_is_as_one_without(server: Bench, sealer: Sealer) -> None:
    check_run(server, sealer)


def check_run(bench: Bench, sealer: Sealer) -> None:
    with_codec = run_everything(bench, sealer)
    bench.redis.flushall()
    bench.clock.frozen_at = 1_800_000_000.0
    without = run_everything(bench, CLEAR)
    assert with_codec == without
    assert all(CANARY in text for text in without.values())
    statuses = {ref: text.split("'")[1] for ref, text in without.items()}
    assert statuses == {
        "flow/all": "Succeeded",
        "timed/x": "TimedOut",
        "failing/x": "Failed",
        "stopped/x": "Stopped",
        "child/kid": "Succeeded",
    }


COUNT = """
version: v1
type: flow
steps:
  - {type: task, name: Count, resourceArn: "acs:fc:::services/s/functions/count"}
  - {type: choice, name: More, choices: [{condition: $.n < 230, goto: Count}]}
"""
NEW, OLD = Sealer(AesGcmCodec({"new": b"n" * 32, "old": b"o" * 32})), Sealer(AesGcmCodec({"old": b"o" * 32}))
ONLY_NEW = Sealer(AesGcmCodec({"new": b"n" * 32}))


def run_long(bench: Bench, sealer: Sealer) -> ExecutionRef:
    """Run an execution whose older events are compacted."""
    bench.build_container(sealer=sealer)
    bench.functions._functions.pop("count", None)
    bench.functions.register("count", lambda input, context: {"n": input.get("n", 0) + 1, "long": LONG})
    ref = bench.start(COUNT, {"word": CANARY}, "long")
    bench.work()
    assert bench.redis.llen(bench.container.store.keys.blocks(ref)) > 0
    return ref


def test_compacted_events_are_encoded_in_blocks(server: Bench) -> None:
    ref = run_long(server, AES)
    assert canaries_in(server) == set()
    events = server.history(ref)
    assert len(events) > 2 * BLOCK
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert events[0].detail == {"input": {"word": CANARY}}
    # Encoded events cannot be compressed, so that a block is compressed before it is encoded.
    block = server.redis.lindex(server.container.store.keys.blocks(ref), 0)
    assert len(block) < 40 * BLOCK


def restarted(bench: Bench, sealer: Sealer, worker: str = "w") -> None:
    """Replace the worker by one with another codec."""
    bench.build_container(sealer=sealer, worker=worker)


def test_a_worker_without_the_key_leaves_calls_to_others(bench: Bench) -> None:
    bench.build_container(sealer=NEW)
    calls = bench.returns("break", {"v": 1})
    ref = bench.start(FAILING, {"word": CANARY})
    before = bench.history(ref)
    for sealer in (OLD, CLEAR):
        restarted(bench, sealer)
        for _ in range(20):
            bench.handle_next()
            bench.pass_time(10)
            bench.sweep()
    assert calls == []
    container = bench.build_container(sealer=NEW)
    (step,) = describe(container, ref).open_steps
    assert (step.state, step.reason) == (StepState.QUEUED, "waits for a worker that has the key")
    assert bench.history(ref) == before  # no start of a call is noted or counted
    bench.pass_time(10)
    bench.sweep()
    bench.work()
    assert (calls, bench.status(ref)) == ([{"word": CANARY}], "Succeeded")


def test_sweeps_and_timeouts_without_the_key_end_nothing_in_error(bench: Bench) -> None:
    bench.build_container(sealer=NEW)
    register_functions(bench)
    ref = bench.start(TIMED, {"word": CANARY})
    bench.work()
    restarted(bench, CLEAR)
    for _ in range(30):
        bench.pass_time(1)
        bench.sweep()
    assert bench.status(ref) == "Running"
    restarted(bench, NEW)
    bench.pass_time(3)
    bench.sweep()
    assert [e.step for e in bench.history(ref) if e.type == "TaskTimedOut"] == ["Slow"]


def test_the_time_limit_of_an_execution_needs_no_key(bench: Bench) -> None:
    bench.build_container(sealer=NEW)
    register_functions(bench)
    ref = bench.start(TIMED, {"word": CANARY})
    restarted(bench, CLEAR)
    bench.pass_time(61)
    bench.sweep()
    record = bench.container.reading.execution(ref)
    assert (record.status, record.cause) == (Status.TIMED_OUT, "the execution did not end within 1 min")


def test_a_parent_without_its_key_is_notified_later(bench: Bench) -> None:
    bench.build_container(sealer=NEW)
    register_functions(bench)
    bench.deploy(CHILD, "child")
    ref = bench.start(part_of_everything("task\n    name: Sub"), INPUT)
    while bench.redis.llen("celery") and bench.container.reading.frame_names(ExecutionRef("child", "kid")) == []:
        bench.handle_next()
    engine = bench.container.engine
    notify = engine.reading.parent_links(ExecutionRef("child", "kid"))
    assert len(notify) == 1
    engine.end(bench.key(ExecutionRef("child", "kid")), Status.STOPPED, "Enough", CANARY)
    restarted(bench, CLEAR)
    for _ in range(20):
        bench.pass_time(1)
        bench.sweep()
    assert bench.status(ref) == "Running"
    restarted(bench, NEW)
    bench.pass_time(60)
    bench.sweep()
    record = bench.container.reading.execution(ref)
    assert (record.status, record.error, record.cause) == (Status.FAILED, "Enough", CANARY)


def test_records_of_old_keys_and_clear_ones_stay_readable(bench: Bench) -> None:
    bench.build_container(sealer=CLEAR)
    bench.returns("ask", {})
    ref = bench.start(WAIT, {"seconds": 5, "long": LONG})
    for sealer in (OLD, NEW):
        restarted(bench, sealer)
        work_one_step(bench)
    work(bench)
    assert bench.status(ref) == "Succeeded"
    assert bench.container.reading.execution(ref).input == {"seconds": 5, "long": LONG}
    assert len(bench.history(ref)) == bench.container.reading.execution(ref).events


def work_one_step(bench: Bench) -> None:
    key = bench.take()
    record = bench.container.reading.frame(key.ref, key.frame)
    assert record is not None
    bench.pass_time(max(0.0, record.due - bench.now()))
    bench.container.engine.handle(key)


def sealed_places(bench: Bench, ref: ExecutionRef) -> Iterator[tuple[str, Any, str]]:
    """Yield key, field or index, and text of everything that is encoded in an execution."""
    for key in sorted(bench.redis.scan_iter(f"*{ref}*")):
        if bench.redis.type(key) == "hash":
            yield from ((key, name, text) for name, text in bench.redis.hgetall(key).items() if text.startswith(":"))
        elif bench.redis.type(key) == "list":
            for index, text in enumerate(bench.redis.lrange(key, 0, -1)):
                if text.startswith(":") or '":new:' in text:
                    yield key, index, text


def read_all(bench: Bench, ref: ExecutionRef) -> Any:
    """Read everything of an execution. Raises for what cannot be decoded."""
    reading = bench.container.reading
    record = reading.execution(ref)
    states = [frame.state for frame in reading.frames(ref).values()]
    results = [reading.results(ref, name, 1 << 20) for name in reading.frames(ref)]
    return record.input, record.output, record.cause, states, results, bench.history(ref)


def write(bench: Bench, key: str, place: Any, text: str) -> None:
    if isinstance(place, int):
        bench.redis.lset(key, place, text)
    else:
        bench.redis.hset(key, place, text)


@pytest.fixture
def halfway(bench: Bench) -> ExecutionRef:
    """Return an execution that has encoded records of most kinds."""
    bench.build_container(sealer=NEW)
    bench.functions.register("item", lambda input, context: {"v": f"{input['item']} {LONG}"})
    ref = bench.start(part_of_everything("foreach", "task\n    name: Ask"), INPUT, "first")
    for _ in range(4):
        bench.handle_next()
    return ref


def test_a_changed_character_is_an_error_and_never_other_data(bench: Bench, halfway: ExecutionRef) -> None:
    original = read_all(bench, halfway)
    places = list(sealed_places(bench, halfway))
    assert {key.split(":")[2] for key, _, _ in places} == {"execution", "frame", "history", "results", "values"}
    for key, place, text in places:
        start = text.index(":new:")
        end = text.index('"', start) if '"' in text[start:] else len(text)
        for position in {start + 1, start + 6, (start + end) // 2, end - 1}:
            other = "A" if text[position] != "A" else "B"
            write(bench, key, place, text[:position] + other + text[position + 1 :])
            with pytest.raises((DamagedRecord, MissingKey)):
                read_all(bench, halfway)
            write(bench, key, place, text)
    assert read_all(bench, halfway) == original


def test_each_byte_of_a_record_is_authenticated() -> None:
    ref = ExecutionRef("flow", "x")
    text = NEW.seal(ref, "input", '{"a":1}')
    for position in range(len(text)):
        for change in (1, 2, 4):
            changed = text[:position] + chr(ord(text[position]) ^ change) + text[position + 1 :]
            if changed[0] == ":":
                with pytest.raises((DamagedRecord, MissingKey)):
                    NEW.open(ref, "input", changed)


def test_a_record_of_another_execution_is_damaged(bench: Bench, halfway: ExecutionRef) -> None:
    flow = bench.container.reading.execution(halfway).digest
    text = bench.container.definitions.text(flow)
    other = bench.start(text, INPUT, "second")
    for _ in range(6):
        bench.handle_next()
    theirs = {(key.split(":")[2], place): text for key, place, text in sealed_places(bench, halfway)}
    moved = 0
    for key, place, text in list(sealed_places(bench, other)):
        source = theirs.get((key.split(":")[2], place))
        if source is None or source == text:
            continue
        moved += 1
        write(bench, key, place, source)
        with pytest.raises(DamagedRecord):
            read_all(bench, other)
        write(bench, key, place, text)
    assert moved > 5


def test_a_value_that_looks_encoded_is_stored_as_it_is(bench: Bench) -> None:
    for sealer in (CLEAR, NEW):
        bench.redis.flushall()
        bench.build_container(sealer=sealer)
        bench.returns("call", {"v": ":new:AAAA"})
        ref = bench.start(WAIT, {"seconds": 0, "v": ":new:AAAA", "long": ":new:" + "A" * 300})
        bench.work()
        record = bench.container.reading.execution(ref)
        assert record.input["v"] == ":new:AAAA"
        assert bench.history(ref)[0].detail["input"] == record.input


class Broken:
    """A codec that works until it is broken."""

    key_id = ""

    def __init__(self) -> None:
        self.encoded: Any = None
        self.decoded: Any = None

    def encode(self, data: bytes, context: CodecContext) -> bytes:
        return self._result(self.encoded, data)

    def decode(self, data: bytes, context: CodecContext) -> bytes:
        return self._result(self.decoded, data)

    def _result(self, instead: Any, data: bytes) -> Any:
        if isinstance(instead, Exception):
            raise instead
        return data if instead is None else instead


@pytest.mark.parametrize("result", [RuntimeError(f"the key is {CANARY}"), "text", 7], ids=["raises", "text", "number"])
@pytest.mark.parametrize("method", ["encoded", "decoded"])
def test_a_broken_codec_ends_the_execution_and_nothing_else(
    bench: Bench, method: str, result: Any, caplog: pytest.LogCaptureFixture
) -> None:
    codec = Broken()
    assert isinstance(codec, Codec)
    bench.build_container(sealer=Sealer(codec))
    bench.returns("break", {})
    ref = bench.start(FAILING, {"word": CANARY})
    setattr(codec, method, result)
    for _ in range(60):
        bench.work()
        bench.sweep()
        bench.pass_time(1)
    assert bench.status(ref) == "Failed"
    setattr(codec, method, None)
    record = bench.container.reading.execution(ref)
    assert record.error == "FnF.RuntimeError"
    assert record.cause is not None and record.cause.startswith("the engine failed at the ")
    assert (CANARY in record.cause, CANARY in caplog.text) == (False, False)
    assert "the engine failed" in caplog.text
    assert bench.start(FAILING, {"word": "other"}, "other") is not None
    bench.work()
    assert bench.status(ExecutionRef("flow", "other")) == "Succeeded"


def test_a_time_limit_needs_no_codec_that_works(bench: Bench) -> None:
    codec = Broken()
    bench.build_container(sealer=Sealer(codec))
    register_functions(bench)
    ref = bench.start(TIMED, {"word": CANARY})
    codec.encoded = codec.decoded = RuntimeError("no service")
    bench.pass_time(61)
    bench.sweep()
    assert bench.status(ref) == "TimedOut"


def test_failures_of_children_are_encoded(bench: Bench) -> None:
    bench.build_container(sealer=NEW)
    inputs = bench.returns("ask", {})
    ref = bench.start(part_of_everything("task\n    name: Ask", "task\n    name: Sub"), INPUT)
    bench.work()
    bench.container.engine.report(inputs[0]["token"], ReportedFailed("Refused", f"not {CANARY}"))
    assert canaries_in(bench) == set()
    record = bench.container.reading.execution(ref)
    assert (record.error, record.cause) == ("Refused", f"not {CANARY}")


def test_a_purge_deletes_encoded_data(bench: Bench, halfway: ExecutionRef) -> None:
    bench.container.engine.end(bench.key(halfway), Status.STOPPED, "", "")
    bench.container.maintenance.purge(bench.container.reading.execution(halfway))
    assert [key for key in bench.redis.scan_iter(f"*{halfway}*")] == []


def keys_left(bench: Bench) -> set[str]:
    """Return the ids of the keys of all records in Redis."""
    texts = (repr(content) for _, content in contents(bench.redis))
    return {key_id for text in texts for key_id in re.findall(r":(new|old):", text)}


def rotate(bench: Bench, sealer: Sealer) -> Counter[str]:
    bench.build_container(sealer=sealer)
    store = bench.container.store
    counts: Counter[str] = Counter()
    for ref in list(store.all_executions()):
        rotated = store.rotate(ref)
        assert (rotated.problems, rotated.left) == ([], 0)
        counts += rotated.rewritten
    return counts


def test_a_rotation_leaves_nothing_under_the_old_key(server: Bench) -> None:
    long = run_long(server, OLD)
    ask = server.returns("ask", {})
    server.functions._functions.pop("item", None)
    server.functions.register("item", lambda input, context: {"v": f"{input['item']} {LONG}"})
    running = server.start(part_of_everything("foreach", "task\n    name: Sub"), INPUT, "running")
    for _ in range(6):
        server.handle_next()
    before = [read_all(server, ref) for ref in (long, running)]
    assert keys_left(server) == {"old"}
    server.build_container(sealer=NEW)
    dry = [server.container.store.rotate(ref, is_dry=True).rewritten["old"] for ref in (long, running)]
    assert keys_left(server) == {"old"}
    assert rotate(server, NEW) == {"old": sum(dry)}
    assert keys_left(server) == {"new"}
    server.build_container(sealer=ONLY_NEW)  # the old key can be removed
    assert [read_all(server, ref) for ref in (long, running)] == before
    assert rotate(server, NEW) == {}
    server.work()
    server.container.engine.report(ask[0]["token"], ReportedSucceeded({"answer": CANARY}))
    assert server.status(running) == "Succeeded"
    assert canaries_in(server) == set()


def test_a_rotation_encodes_what_was_stored_in_clear(bench: Bench) -> None:
    bench.build_container(sealer=CLEAR)
    bench.functions.register("item", lambda input, context: {"v": f"{input['item']} {LONG}"})
    ref = bench.start(part_of_everything("foreach", "task\n    name: Ask"), INPUT)
    for _ in range(4):
        bench.handle_next()
    before = read_all(bench, ref)
    assert set(rotate(bench, NEW)) == {"clear"}
    assert canaries_in(bench) == set()
    assert read_all(bench, ref) == before
    bench.work()
    assert bench.status(ref) == "Succeeded"


def test_a_commit_during_a_rotation_wins(bench: Bench) -> None:
    bench.build_container(sealer=OLD)
    ref = bench.start(WAIT, {"seconds": 0, "long": LONG})
    container = bench.build_container(sealer=NEW)
    scripts, run, pending = container.store.scripts, container.store.scripts.run, [True]

    def run_after_commit(script: Any, keys: Any) -> Any:
        if script.NAME == "reseal" and pending and keys["target"].endswith(":r"):
            pending.pop()
            bench.work()
        return run(script, keys)

    scripts.run = run_after_commit  # type: ignore[method-assign]
    rotated = container.store.rotate(ref)
    assert not pending
    assert rotated.left > 0
    assert bench.status(ref) == "Succeeded"
    rotate(bench, NEW)
    assert keys_left(bench) == {"new"}
    assert len(bench.history(ref)) == bench.container.reading.execution(ref).events


def test_a_rotation_that_dies_continues_later(bench: Bench, halfway: ExecutionRef) -> None:
    back = Sealer(AesGcmCodec({"old": b"o" * 32, "new": b"n" * 32}))
    rotate(bench, back)
    before = read_all(bench, halfway)
    deaths = 0
    while has_died_at(bench, halfway, deaths + 1):
        deaths += 1
        assert read_all(bench, halfway) == before
        if deaths % 2:
            rotate(bench, back)  # otherwise the next one continues
    assert deaths > 3
    assert keys_left(bench) == {"new"}
    assert read_all(bench, halfway) == before


def has_died_at(bench: Bench, ref: ExecutionRef, count: int) -> bool:
    """Rotate, and exit the process before its script number `count`. Return whether it has exited."""
    store = bench.build_container(sealer=NEW).store
    run, left = store.scripts.run, [None] * (count - 1)

    def run_until_death(script: Any, keys: Any) -> Any:
        if not left:
            raise SystemExit
        left.pop()
        return run(script, keys)

    store.scripts.run = run_until_death  # type: ignore[method-assign]
    try:
        store.rotate(ref)
    except SystemExit:
        return True
    finally:
        store.scripts.run = run  # type: ignore[method-assign]
    return False


def test_a_rotation_names_the_key_that_is_missing(bench: Bench, halfway: ExecutionRef) -> None:
    bench.build_container(sealer=OLD)
    rotated = bench.container.store.rotate(halfway)
    assert rotated.rewritten == {}
    assert len(rotated.problems) > 5
    assert all('no key "new"' in problem for problem in rotated.problems)


@pytest.mark.parametrize("damage", [("incarnation", "x"), ("event", "[" * 100_000)], ids=["incarnation", "event"])
def test_a_rotation_passes_damaged_executions(bench: Bench, halfway: ExecutionRef, damage: tuple[str, str]) -> None:
    container, (name, text) = bench.build_container(sealer=OLD), damage
    if name == "event":
        bench.redis.lset(container.store.keys.history(halfway), 0, text)
    else:
        bench.redis.hset(container.store.keys.execution(halfway), name, text)
    rotated = container.store.rotate(halfway)
    assert sum("is damaged" in problem for problem in rotated.problems) == 1


@pytest.mark.parametrize("sealer", [CLEAR, Sealer(AbsentCodec("proj.security:codec"))], ids=["none", "absent"])
def test_a_rotation_needs_the_codec(bench: Bench, sealer: Sealer) -> None:
    bench.build_container(sealer=sealer)
    with pytest.raises(ConfigurationError, match="this process has no codec to rewrite data with; use the app"):
        bench.container.store.rotate(ExecutionRef("flow", "x"))
