"""The rules that hold after every step of every schedule, and at its end."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.properties.protocol.world import Process, RuleViolated, Wire, World, reply_fields

if TYPE_CHECKING:
    from tests.properties.protocol.explore import State

_COMMITS = {"advance", "fan_out", "fan_in", "end"}
_YEAR = 366 * 86_400


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace of a schedule: commits by their token, and the idempotency keys of calls."""

    commits: frozenset[Any] = frozenset()
    calls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules. `outputs` are the possible ends of execution `flow/x`; `keys` are the possible calls."""

    outputs: tuple[Any, ...]
    keys: frozenset[str]
    counts: dict[str, int] = field(default_factory=dict)
    max_countdown_messages: int = 1_000

    def check_step(self, before: State, after: State, wire: Wire) -> Trace:
        """Check one step and return the trace with its additions."""
        trace = before.trace
        for key in [info.partition("/")[2] for name, info in wire.unobserved if name == "call"]:
            if key not in self.keys:
                raise RuleViolated(f"a call under the key {key}")
            trace = Trace(trace.commits, (*trace.calls, key))
        if wire.sent is not None:
            trace = self._check_command(before, trace, wire.sent)
        if after.snapshot is not before.snapshot:
            self._check_history(before, after)
            self._check_wake_ups(after)
            self._check_countdowns(after)
        return trace

    @staticmethod
    def _check_command(before: State, trace: Trace, sent: tuple[str, Any, Any]) -> Trace:
        name, info, reply = sent
        if name == "claim" and reply[0] == "claimed" and reply_fields(reply)["kind"] == "call":
            _check_lease(before, info)
        if name in _COMMITS and reply[0] == "done" and info[1].get("token"):
            # Only one commit may succeed per script and token, and for a fan-out per count of made children.
            keys, args = info
            if args.get("nonce") not in (None, before.snapshot.content[keys[1]][1]["claim"]):
                raise RuleViolated(f"committed after the call was claimed again: {name} of {args['frame']}")
            deadline = before.snapshot.content[keys[1]][1].get("deadline")
            if args.get("is_result") and deadline is not None and float(deadline) < before.now - 1e-5:
                raise RuleViolated(f"committed a result after its deadline: {name} of {args['frame']}")
            commit = (name, args["ref"], args["frame"], args["token"], args.get("made", ""))
            if commit in trace.commits:
                raise RuleViolated(f"committed a second time: {commit}")
            return Trace(trace.commits | {commit}, trace.calls)
        return trace

    @staticmethod
    def _check_history(before: State, after: State) -> None:
        older, newer = before.snapshot.of("history"), after.snapshot.of("history")
        for ref, events in newer.items():
            known = older.get(ref, [])
            if events[: len(known)] != known:
                raise RuleViolated(f"the history of {ref} was changed")
            if int(after.snapshot.of("execution")[ref]["events"]) != len(events):
                raise RuleViolated(f"the history of {ref} has a gap")
            last = json.loads(known[-1])[0] if known else 0.0
            for number, text in enumerate(events[len(known) :], start=len(known) + 1):
                at, cause, _ = json.loads(text)
                if not 0 <= cause < number or at < last or at > after.now + 1e-5:
                    raise RuleViolated(f"event {number} of {ref} is at {at}, caused by {cause}")
                last = at

    @staticmethod
    def _check_wake_ups(state: State) -> None:
        executions, wakes = state.snapshot.of("execution"), state.snapshot.wakes
        for name, frame in state.snapshot.of("frame").items():
            ref, _, label = name.partition(":")
            if executions[ref]["status"] != "Running":
                if _member(ref, executions, "!cleanup") not in wakes:
                    raise RuleViolated(f"no cleanup is scheduled for {name}")
            elif _member(ref, executions, label) not in wakes and _needs_attention(frame, executions, wakes):
                raise RuleViolated(f"no wake-up exists for {name}: {frame}")
        for ref, execution in executions.items():
            if execution["status"] != "Running" and _member(ref, executions, "!purge") not in wakes:
                raise RuleViolated(f"no purge is scheduled for {ref}")

    def _check_countdowns(self, state: State) -> None:
        # A message that a fault has doubled, or that was returned early, counts once.
        held = {(message.key.ref, message.key.frame) for message in state.snapshot.messages if message.eta > state.now}
        if len(held) > self.max_countdown_messages:
            raise RuleViolated(f"{len(held)} messages with a countdown: {held}")

    def end(self, world: World, state: State) -> str:
        """Check the end of a schedule and return the result of the execution."""
        executions = state.snapshot.of("execution")
        if any(execution["status"] == "Running" for execution in executions.values()):
            raise RuleViolated(f"still running: {executions}")
        outcome = executions["flow/x"]
        output = json.loads(outcome["output"] if "output" in outcome else outcome["error"])
        if output not in self.outputs:
            raise RuleViolated(f"ended with {output}")
        left = {key.split(":")[2] for key in state.snapshot.content if "{0}" in key}
        if not left <= {"execution", "history", "values", "index", "wake", "cancellations", "parents", "countdowns"}:
            raise RuleViolated(f"left over: {sorted(state.snapshot.content)}")
        if set(state.snapshot.wakes) != {_member(ref, executions, "!purge") for ref in executions}:
            raise RuleViolated(f"wake-ups left over: {state.snapshot.wakes}")
        if outcome["status"] == "Succeeded":
            self._count(state)
        self._purge(world)
        return f"{outcome['status']}: {json.dumps(output)}"

    def _count(self, state: State) -> None:
        kinds = [json.loads(text)[2][0] for events in state.snapshot.of("history").values() for text in events]
        for kind, expected in self.counts.items():
            if kinds.count(kind) != expected:
                raise RuleViolated(f"{kinds.count(kind)} events {kind}; expected {expected}")

    @staticmethod
    def _purge(world: World) -> None:
        world.clock.frozen_at = (world.clock.frozen_at or 0.0) + _YEAR
        world.wire.connect(Process("sweep", "sweep"), False, retrying=True)
        world.container.sweeper.sweep(at_once=True)
        # A cancellation of a sub-flow that was never started expires, and so do countdowns.
        expiring = (":cancellations:", ":countdowns")
        left = [key for key in world.redis.keys("*") if "{0}" in key and not any(kind in key for kind in expiring)]
        if left:
            raise RuleViolated(f"left over after the purge: {left}")


def _check_lease(before: State, info: Any) -> None:
    """Check that a lease is granted only where no other is valid."""
    keys, args = info
    _, frame = before.snapshot.content[keys[1]]
    if frame["claim"] not in ("", args["nonce"]) and float(frame["lease"]) > before.now:
        raise RuleViolated(f"a second lease: {frame}")


def _needs_attention(frame: dict[str, str], executions: Any, wakes: dict[str, float]) -> bool:
    """Return whether a frame needs a wake-up of its own."""
    if frame["kind"] == "children":
        made, ended, total = (int(frame[name]) for name in ("made", "ended", "total"))
        return ended == total or (made < total and made - ended < int(frame["max_concurrency"]))
    if frame["kind"] == "report":
        subs = [ref for ref, execution in executions.items() if execution["parent"]]
        return not any(
            executions[ref]["status"] == "Running" or _member(ref, executions, "!notify") in wakes for ref in subs
        )
    return True


def _member(ref: str, executions: Any, name: str) -> str:
    """Return the member of the wake-up index for a frame or job of an execution."""
    execution = executions[ref]
    return f"{ref}|{execution['id']}.{execution['incarnation']}|{name}"
