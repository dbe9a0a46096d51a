"""Try every schedule of two workers, a sweep and an optional stop, with a bounded number of faults.

The search is depth first and visits no state of the world twice. A schedule ends when no action without a fault is
left. The rules are checked after every step and at every end. If the number of steps is bounded, the search continues
from a random state whenever a schedule reaches no new state.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tests.properties.protocol.rules import Rules, Trace
from tests.properties.protocol.world import START_AT, Process, RuleViolated, Snapshot, World, identity

_MAX_DEPTH = 600
_LATER_SECONDS = 0.001
WORKERS = ("w1", "w2")


@dataclass(frozen=True, slots=True)
class State:
    """The world at one point of a schedule."""

    snapshot: Snapshot
    now: float
    tokens: int
    processes: tuple[Process, ...]
    faults: int
    stops: int
    trace: Trace
    path: tuple[Any, ...] = ()

    @property
    def depth(self) -> int:
        return self.path[1] if self.path else 0

    @property
    def schedule(self) -> list[str]:
        """Return the actions so far, the first one first."""
        actions, path = [], self.path
        while path:
            actions.append(path[0])
            path = path[2]
        return actions[::-1]


@dataclass(frozen=True, slots=True)
class Action:
    """A possible next action. `costs` is its number of faults."""

    name: str
    process: Process | None = None
    costs: int = 0
    detail: Any = None


@dataclass(slots=True)
class Found:
    """The number of tried schedules and steps."""

    states: int = 0
    steps: int = 0
    ends: int = 0
    max_depth: int = 0
    is_complete: bool = True
    outcomes: set[str] = field(default_factory=set)


class Explorer:
    """Explore one scenario. `pauses` are the seconds that a process may be paused."""

    def __init__(self, world: World, rules: Rules, *, faults: int, stops: int = 0, pauses: tuple[float, ...] = (3,)):
        self.world, self.rules = world, rules
        self.faults, self.stops, self.pauses = faults, stops, pauses
        self.found = Found()

    def explore(self, max_steps: int, seed: int = 0) -> Found:
        """Try all schedules from the current state, or as many as `max_steps` allows."""
        choice = random.Random(seed)
        snapshot = self.world.snapshot()
        start = State(snapshot, START_AT, self.world.tokens, (), self.faults, self.stops, Trace())
        stack, seen = [start], {self._identity(start)}
        while stack:
            state = stack.pop()
            self.found.states += 1
            self.found.max_depth = max(self.found.max_depth, state.depth)
            actions = list(self._actions(state))
            if not any(action.costs == 0 for action in actions):
                self._end(state)
            is_new = False
            for action in choice.sample(actions, len(actions)):
                if action.costs > state.faults:
                    continue
                if self.found.steps >= max_steps:
                    self.found.is_complete = False
                    return self.found
                after = self._step(state, action)
                key = self._identity(after)
                if key not in seen:
                    seen.add(key)
                    stack.append(after)
                    is_new = True
            if stack and not is_new:
                other = choice.randrange(len(stack))
                stack[other], stack[-1] = stack[-1], stack[other]
        return self.found

    def _identity(self, state: State) -> int:
        return hash(identity(state.snapshot, state.processes, state.now, (state.faults, state.stops)))

    def _actions(self, state: State) -> Iterator[Action]:
        busy = {process.actor for process in state.processes}
        for process in state.processes:
            yield Action("continues", process)
            yield Action("continues, sending its command twice", process, 1)
            if process.work != "stop":
                yield Action("dies", process, 1)
            if process.work == "handle" and process.renewed_at < state.now:
                yield Action("renews its lease", process)
        yield from self._message_actions(state, busy)
        if "sweep" not in busy and any(score <= state.now for score in state.snapshot.wakes.values()):
            yield Action("starts", Process("sweep", "sweep", renewed_at=state.now))
        if state.stops and "stop" not in busy:
            yield Action("starts", Process("stop", "stop"))
        yield from self._pause_actions(state)

    def _message_actions(self, state: State, busy: set[str]) -> Iterator[Action]:
        free = next((worker for worker in WORKERS if worker not in busy), None)
        is_taken = False
        for message in state.snapshot.messages:
            is_early = message.eta > state.now
            if free is not None and (is_early or not is_taken):
                is_taken = is_taken or not is_early
                process = Process(free, "handle", message.key, message.carried, renewed_at=state.now)
                yield Action("takes a message", process, int(is_early), message.text)
            if message is state.snapshot.messages[0] or is_early:
                yield Action("a message is duplicated", None, 1, message.text)
            if is_early:
                yield Action("a message is lost", None, 1, message.text)

    def _pause_actions(self, state: State) -> Iterator[Action]:
        # No process is paused until the time limit of the execution, a year.
        late = ("!purge", "!deadline")
        wakes = [score for member, score in state.snapshot.wakes.items() if not member.endswith(late)]
        moments = [*wakes, *(message.eta for message in state.snapshot.messages)]
        ahead = sorted(moment for moment in moments if moment > state.now)
        is_idle = not state.processes and not any(message.eta <= state.now for message in state.snapshot.messages)
        if is_idle and ahead and min(moments) > state.now:
            yield Action("time passes", None, 0, ahead[0] + _LATER_SECONDS)
        elif not is_idle:
            later = {state.now + pause + _LATER_SECONDS for pause in self.pauses}
            for moment in sorted(later | {moment + _LATER_SECONDS for moment in ahead[:1]}):
                yield Action("time passes", None, 1, moment)

    def _step(self, state: State, action: Action) -> State:
        world = self.world
        self.found.steps += 1
        world.clock.frozen_at, world.tokens = state.now, state.tokens
        text = f"{action.process.actor if action.process else ''} {action.name}"
        after = replace(state, faults=state.faults - action.costs, path=(text, state.depth + 1, state.path))
        try:
            if state.depth > _MAX_DEPTH:
                raise RuleViolated(f"no end after {_MAX_DEPTH} steps")
            after = self._apply(after, action)
            return replace(after, trace=self.rules.check_step(state, after, world.wire))
        except Exception as error:
            steps = "\n  ".join(after.schedule)
            raise RuleViolated(f"{error}\nafter\n  {steps}") from error

    def _apply(self, state: State, action: Action) -> State:
        process, world = action.process, self.world
        others = tuple(other for other in state.processes if other is not process)
        world.wire.sent, world.wire.unobserved = None, []
        if action.name == "dies":
            return replace(state, processes=others)
        if action.name == "time passes":
            return replace(state, now=action.detail)
        if action.name == "starts" and process is not None:
            return replace(state, processes=(*others, process), stops=state.stops - (process.work == "stop"))
        world.restore(state.snapshot)
        if action.name == "takes a message" and process is not None:
            world.raw.lrem("celery", -1, action.detail)
            return replace(state, snapshot=world.snapshot(), processes=(*others, process))
        if action.name == "a message is lost":
            world.raw.lrem("celery", -1, action.detail)
        elif action.name == "a message is duplicated":
            world.raw.lpush("celery", action.detail)
        elif action.name == "renews its lease" and process is not None:
            world.renew(process)
            others = (*others, replace(process, renewed_at=state.now))
        elif process is not None:
            left = world.continue_process(process, twice=action.costs > 0)
            sent = world.wire.sent
            state = self._with_reply(state, sent)
            others = others if left is None else (*others, left)
        ordered = tuple(sorted(others, key=lambda other: other.actor))
        return replace(state, snapshot=world.snapshot(), tokens=world.tokens, processes=ordered)

    @staticmethod
    def _with_reply(state: State, sent: Any) -> State:
        if sent is None or not state.path:
            return state
        reply = sent[2][0] if isinstance(sent[2], list) and sent[2] else ""
        text = f"{state.path[0]}: {sent[0]} {reply}"
        return replace(state, path=(text, *state.path[1:]))

    def _end(self, state: State) -> None:
        self.found.ends += 1
        self.world.restore(state.snapshot)
        self.world.clock.frozen_at = state.now
        try:
            self.found.outcomes.add(self.rules.end(self.world, state))
        except Exception as error:
            steps = "\n  ".join(state.schedule)
            raise RuleViolated(f"{error}\nat the end of\n  {steps}") from error
