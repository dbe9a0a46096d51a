"""The figures of a run: counts of everything, and the time from a kill to the next step."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from tests.chaos.checker import Findings
from tests.chaos.ledger import Call, Held, Ledger
from tests.chaos.nemesis import Done, Nemesis
from tests.chaos.servers import Slow

_SLOWEST = 5


@dataclass(frozen=True, slots=True)
class Spread:
    """A distribution, in seconds."""

    count: int
    p50: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the distribution of the values; all 0 if there are none."""
        ranked = sorted(values) or [0.0]
        at = [ranked[min(len(ranked) - 1, int(len(ranked) * share))] for share in (0.5, 0.99)]
        return cls(len(values), round(at[0], 3), round(at[1], 3), round(ranked[-1], 3))

    def __str__(self) -> str:
        return f"p50 {self.p50:.2f} s, p99 {self.p99:.2f} s, max {self.max:.2f} s ({self.count})"


@dataclass(frozen=True, slots=True, order=True)
class Took:
    """The time from a fault to the next progress."""

    seconds: float
    what: str
    fault: str
    at: float

    def text(self, began: float) -> str:
        """Return a text that helps to find the reason in the logs."""
        return f"{self.seconds:.1f} s after {self.fault} at {self.at - began:.1f} s: {self.what}"


@dataclass(slots=True)
class Summary:
    """All figures of a run."""

    seed: int
    duration: float
    scheduled_after: float
    executions: int
    sub_executions: int
    events: int
    statuses: dict[str, int]
    flows: dict[str, int]
    faults: dict[str, int]
    calls: int
    calls_made_again: int
    messages: int
    messages_harmed: dict[str, int]
    from_kill_to_next_step: Spread
    from_kill_to_next_call: Spread
    from_kill_to_next_message: Spread
    slowest_to_go_on: list[str]
    waits_late_by: Spread
    latest_waits: list[str]
    late_results: int
    slow_scripts: list[str]
    other_slow_commands: int
    died_alone: dict[str, int]
    worker_log: dict[str, int]
    problems: list[str] = field(default_factory=list)

    @property
    def fault_count(self) -> int:
        """Return the number of faults."""
        return sum(self.faults.values())

    def as_json(self) -> str:
        """Return the summary as JSON."""
        return json.dumps(asdict(self), indent=1)

    def __str__(self) -> str:
        slow = ", ".join(self.slow_scripts[:10]) or "none"
        lines = [
            f"seed {self.seed}, {self.duration:g} s of faults, quiet {self.scheduled_after:.1f} s after them",
            f"executions          {self.executions}, and {self.sub_executions} sub-executions: {_list(self.statuses)}",
            f"  of                {_list(self.flows)}",
            f"events              {self.events}",
            f"faults              {self.fault_count}: {_list(self.faults)}",
            f"calls               {self.calls}, {self.calls_made_again} of them made again",
            f"messages            {self.messages}; {_list(self.messages_harmed)}",
            f"kill to next step   {self.from_kill_to_next_step}",
            f"  of a call cut off {self.from_kill_to_next_call}",
            f"  of a message held {self.from_kill_to_next_message}",
            f"  the slowest       {'; '.join(self.slowest_to_go_on)}",
            f"waits late by       {self.waits_late_by}",
            f"  the latest        {'; '.join(self.latest_waits)}",
            f"results after time  {self.late_results}",
            f"scripts over 10 ms  {len(self.slow_scripts)}: {slow}; other commands {self.other_slow_commands}",
            f"died by themselves  {_list(self.died_alone) or 'none'}",
            f"workers logged      {_list(self.worker_log)}",
            f"problems            {len(self.problems)}",
        ]
        return "\n".join([*lines, *(f"\n  - {problem}" for problem in self.problems)])


def _list(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda c: -c[1]))


def from_kill_to_next_call(calls: Sequence[Call], faults: Sequence[Done]) -> list[Took]:
    """Return for each call that a kill interrupted the seconds until it was repeated."""
    again: dict[str, list[float]] = defaultdict(list)
    for call in calls:
        again[call.key].append(call.started_at)
    cut_off = [call for call in calls if call.ended_at is None]
    took = []
    for fault in faults:
        for call in cut_off:
            dies = call.group == fault.harm.group or call.pid == fault.harm.pid
            following = [moment for moment in again[call.key] if moment > fault.at]
            if dies and call.started_at <= fault.at and following:
                took.append(_took(min(following) - fault.at, f"the call {call.key}", fault))
    return took


def from_kill_to_next_message(
    continued: Sequence[Held], begun: Mapping[str, list[float]], faults: Sequence[Done]
) -> list[Took]:
    """For each message that a killed worker had taken and not begun: how long until it, or its like, was begun.

    From the kill, or from the moment at which it was due if that was later.
    """
    of_group: dict[int, list[Held]] = defaultdict(list)
    for message in continued:
        of_group[message.group].append(message)
    took = []
    for fault in faults:
        for message in of_group[fault.harm.group or 0]:
            moments = begun.get(message.token, [])
            # What somebody has begun before is a duplicate, and nobody waits for that.
            is_held = message.received_at <= fault.at and not any(moment <= fault.at for moment in moments)
            following = [moment for moment in moments if moment > fault.at]
            if is_held and following:
                seconds = max(0.0, min(following) - max(fault.at, message.due))
                took.append(_took(seconds, f"the message {message.token}", fault))
    return took


def _took(seconds: float, what: str, fault: Done) -> Took:
    return Took(seconds, what, f"{fault.kind} ({fault.harm.text})", fault.at)


def _fan_out(took: Sequence[Took]) -> Spread:
    return Spread.of([one.seconds for one in took])


def made_again(calls: Sequence[Call]) -> int:
    """Return the number of repeated calls under one idempotency key."""
    return len(calls) - len(Counter(call.key for call in calls))


def slow_scripts(slow: Sequence[Slow], faults: Sequence[Done]) -> tuple[list[str], int]:
    """The scripts in a slow log, the slowest first, and how many other commands are in there.

    What ran while the server was frozen says nothing.
    """
    frozen = [fault for fault in faults if fault.kind == "freeze redis"]
    own = [s for s in slow if not any(fault.at - 1 <= s.at <= fault.until + 1 for fault in frozen)]
    scripts = sorted((entry for entry in own if entry.script), key=lambda entry: -entry.ms)
    return [f"{entry.script} {entry.ms:.0f} ms" for entry in scripts], len(own) - len(scripts)


def summarize(
    *,
    seed: int,
    duration: float,
    scheduled_after: float,
    findings: Findings,
    nemesis: Nemesis,
    ledger: Ledger,
    slow: Sequence[Slow],
    died_alone: dict[str, int],
) -> Summary:
    """Compute the summary."""
    scripts, others = slow_scripts(slow, nemesis.done)
    calls = ledger.calls()
    continued, begun = ledger.messages()
    next_calls = from_kill_to_next_call(calls, nemesis.done)
    next_messages = from_kill_to_next_message(continued, begun, nemesis.done)
    next_steps = [*next_calls, *next_messages]
    return Summary(
        seed=seed,
        duration=duration,
        scheduled_after=scheduled_after,
        executions=findings.executions,
        sub_executions=findings.sub_executions,
        events=findings.events,
        statuses=dict(findings.statuses),
        flows=dict(findings.flows),
        faults=dict(nemesis.counts()),
        calls=len(calls),
        calls_made_again=made_again(calls),
        messages=len(continued),
        messages_harmed=dict(nemesis.messages()),
        from_kill_to_next_step=_fan_out(next_steps),
        from_kill_to_next_call=_fan_out(next_calls),
        from_kill_to_next_message=_fan_out(next_messages),
        slowest_to_go_on=[took.text(nemesis.began) for took in sorted(next_steps, reverse=True)[:_SLOWEST]],
        waits_late_by=Spread.of([waited.late for waited, _ in findings.waits]),
        latest_waits=[
            f"{waited.late:.1f} s: {waited.step} of {ref}, due at {waited.due - nemesis.began:.1f} s"
            for waited, ref in sorted(findings.waits, key=lambda found: -found[0].late)[:_SLOWEST]
        ],
        late_results=findings.late_results,
        slow_scripts=scripts,
        other_slow_commands=others,
        died_alone=died_alone,
        worker_log=ledger.words(),
        problems=list(findings.problems),
    )
