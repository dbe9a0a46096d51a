"""Tries every schedule of two workers, a sweep and, where asked for, a stop, with a bounded number of faults.

Depth first, and no state of the world twice. A path ends where nothing is left to do by itself; there, and after every
single step, the rules are asked. Where it cannot try all, it tries here and there: whenever a path leads nowhere new,
it goes on from any other state.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tests.properties.protocol.rules import Rules, Trace
from tests.properties.protocol.world import BEGINNING, Broken, Picture, Process, World, identity

_DEEPEST = 600
_MOMENT_LATER = 0.001
WORKERS = ("w1", "w2")


@dataclass(frozen=True, slots=True)
class State:
    """The world at one point of a schedule."""

    picture: Picture
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
        done, path = [], self.path
        while path:
            done.append(path[0])
            path = path[2]
        return done[::-1]


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
    deepest: int = 0
    is_complete: bool = True
    outcomes: set[str] = field(default_factory=set)


class Explorer:
    """Explore one scenario. `pauses` are the seconds by which a paused process may fall behind."""

    def __init__(self, world: World, rules: Rules, *, faults: int, stops: int = 0, pauses: tuple[float, ...] = (3,)):
        self.world, self.rules = world, rules
        self.faults, self.stops, self.pauses = faults, stops, pauses
        self.found = Found()

    def explore(self, most_steps: int, seed: int = 0) -> Found:
        """Try all schedules from the present state, or as many as `most_steps` allow."""
        choice = random.Random(seed)
        picture = self.world.picture()
        start = State(picture, BEGINNING, self.world.tokens, (), self.faults, self.stops, Trace())
        stack, seen = [start], {self._identity(start)}
        while stack:
            state = stack.pop()
            self.found.states += 1
            self.found.deepest = max(self.found.deepest, state.depth)
            actions = list(self._actions(state))
            if not any(action.costs == 0 for action in actions):
                self._end(state)
            is_new = False
            for action in choice.sample(actions, len(actions)):
                if action.costs > state.faults:
                    continue
                if self.found.steps >= most_steps:
                    self.found.is_complete = False
                    return self.found
                after = self._do(state, action)
                mark = self._identity(after)
                if mark not in seen:
                    seen.add(mark)
                    stack.append(after)
                    is_new = True
            if stack and not is_new:
                other = choice.randrange(len(stack))
                stack[other], stack[-1] = stack[-1], stack[other]
        return self.found

    def _identity(self, state: State) -> int:
        return hash(identity(state.picture, state.processes, state.now, (state.faults, state.stops)))

    def _actions(self, state: State) -> Iterator[Action]:
        busy = {process.actor for process in state.processes}
        for process in state.processes:
            yield Action("goes on", process)
            yield Action("goes on, its reply lost and asked for again", process, 1)
            if process.work != "stop":
                yield Action("dies", process, 1)
            if process.work == "handle" and process.renewed_at < state.now:
                yield Action("is renewed", process)
        yield from self._takings(state, busy)
        if "sweep" not in busy and any(score <= state.now for score in state.picture.wakes.values()):
            yield Action("begins", Process("sweep", "sweep", renewed_at=state.now))
        if state.stops and "stop" not in busy:
            yield Action("begins", Process("stop", "stop"))
        yield from self._pauses(state)

    def _takings(self, state: State, busy: set[str]) -> Iterator[Action]:
        free = next((worker for worker in WORKERS if worker not in busy), None)
        is_taken = False
        for message in state.picture.messages:
            is_early = message.eta > state.now
            if free is not None and (is_early or not is_taken):
                is_taken = is_taken or not is_early
                process = Process(free, "handle", message.key, renewed_at=state.now)
                yield Action("takes", process, int(is_early), message.text)
            if message is state.picture.messages[0] or is_early:
                yield Action("a message is doubled", None, 1, message.text)
            if is_early:
                yield Action("a message is lost", None, 1, message.text)

    def _pauses(self, state: State) -> Iterator[Action]:
        wakes = [score for member, score in state.picture.wakes.items() if not member.endswith("!purge")]
        moments = [*wakes, *(message.eta for message in state.picture.messages)]
        ahead = sorted(moment for moment in moments if moment > state.now)
        is_idle = not state.processes and not any(message.eta <= state.now for message in state.picture.messages)
        if is_idle and ahead and min(moments) > state.now:
            yield Action("time passes", None, 0, ahead[0] + _MOMENT_LATER)
        elif not is_idle:
            later = {state.now + pause + _MOMENT_LATER for pause in self.pauses}
            for moment in sorted(later | {moment + _MOMENT_LATER for moment in ahead[:1]}):
                yield Action("time passes", None, 1, moment)

    def _do(self, state: State, action: Action) -> State:
        world = self.world
        self.found.steps += 1
        world.clock.frozen_at, world.tokens = state.now, state.tokens
        action_text = f"{action.process.actor if action.process else ''} {action.name}"
        after = replace(state, faults=state.faults - action.costs, path=(action_text, state.depth + 1, state.path))
        try:
            if state.depth > _DEEPEST:
                raise Broken("it does not come to an end")
            after = self._acted(after, action)
            return replace(after, trace=self.rules.look(state, after, world.wire))
        except Exception as error:
            steps = "\n  ".join(after.schedule)
            raise Broken(f"{error}\nafter\n  {steps}") from error

    def _acted(self, state: State, action: Action) -> State:
        process, world = action.process, self.world
        others = tuple(other for other in state.processes if other is not process)
        world.wire.asked, world.wire.noted = None, []
        if action.name == "dies":
            return replace(state, processes=others)
        if action.name == "time passes":
            return replace(state, now=action.detail)
        if action.name == "begins" and process is not None:
            return replace(state, processes=(*others, process), stops=state.stops - (process.work == "stop"))
        world.put_back(state.picture)
        if action.name == "takes" and process is not None:
            world.raw.lrem("celery", -1, action.detail)
            return replace(state, picture=world.picture(), processes=(*others, process))
        if action.name == "a message is lost":
            world.raw.lrem("celery", -1, action.detail)
        elif action.name == "a message is doubled":
            world.raw.lpush("celery", action.detail)
        elif action.name == "is renewed" and process is not None:
            world.renew(process)
            others = (*others, replace(process, renewed_at=state.now))
        elif process is not None:
            left = world.go_on(process, twice=action.costs > 0)
            asked = world.wire.asked
            state = self._told(state, asked)
            others = others if left is None else (*others, left)
        ordered = tuple(sorted(others, key=lambda other: other.actor))
        return replace(state, picture=world.picture(), tokens=world.tokens, processes=ordered)

    @staticmethod
    def _told(state: State, asked: Any) -> State:
        if asked is None or not state.path:
            return state
        answer = asked[2][0] if isinstance(asked[2], list) and asked[2] else ""
        action_text = f"{state.path[0]}: {asked[0]} {answer}"
        return replace(state, path=(action_text, *state.path[1:]))

    def _end(self, state: State) -> None:
        self.found.ends += 1
        self.world.put_back(state.picture)
        self.world.clock.frozen_at = state.now
        try:
            self.found.outcomes.add(self.rules.end(self.world, state))
        except Exception as error:
            steps = "\n  ".join(state.schedule)
            raise Broken(f"{error}\nat the end of\n  {steps}") from error
