"""The figures of a run: counts, and the times from a kill to the next progress."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from tests.chaos.checker import Findings
from tests.chaos.ledger import Call, Ledger, ReceivedMessage
from tests.chaos.nemesis import InjectedFault, Nemesis
from tests.chaos.servers import Slow

_SLOWEST = 5


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution, in seconds."""

    count: int
    p50: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Distribution:
        """Return the distribution of the values; all 0 if there are none."""
        ranked = sorted(values) or [0.0]
        at = [ranked[min(len(ranked) - 1, int(len(ranked) * share))] for share in (0.5, 0.99)]
        return cls(len(values), round(at[0], 3), round(at[1], 3), round(ranked[-1], 3))

    def __str__(self) -> str:
        return f"p50 {self.p50:.2f} s, p99 {self.p99:.2f} s, max {self.max:.2f} s ({self.count})"


@dataclass(frozen=True, slots=True, order=True)
class Recovery:
    """The time from a fault to the next progress of an interrupted call or message."""

    seconds: float
    what: str
    fault: str
    at: float

    def text(self, began: float) -> str:
        """Return a line with the times that are needed to find the event in the logs."""
        return f"{self.seconds:.1f} s after {self.fault} at {self.at - began:.1f} s: {self.what}"


@dataclass(slots=True)
class Summary:
    """All figures of a run."""

    seed: int
    duration: float
    idle_after: float
    executions: int
    sub_executions: int
    events: int
    statuses: dict[str, int]
    flows: dict[str, int]
    faults: dict[str, int]
    calls: int
    repeated_calls: int
    messages: int
    messages_affected: dict[str, int]
    from_kill_to_next_step: Distribution
    from_kill_to_next_call: Distribution
    from_kill_to_next_message: Distribution
    slowest_recoveries: list[str]
    waits_late_by: Distribution
    latest_waits: list[str]
    late_results: int
    slow_scripts: list[str]
    other_slow_commands: int
    unexpected_exits: dict[str, int]
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
            f"seed {self.seed}, {self.duration:g} s of faults, idle {self.idle_after:.1f} s after them",
            f"executions          {self.executions}, and {self.sub_executions} sub-executions: {_list(self.statuses)}",
            f"  of                {_list(self.flows)}",
            f"events              {self.events}",
            f"faults              {self.fault_count}: {_list(self.faults)}",
            f"calls               {self.calls}, {self.repeated_calls} of them repeated",
            f"messages            {self.messages}; {_list(self.messages_affected)}",
            f"kill to next step   {self.from_kill_to_next_step}",
            f"  interrupted calls {self.from_kill_to_next_call}",
            f"  lost messages     {self.from_kill_to_next_message}",
            f"  slowest           {'; '.join(self.slowest_recoveries)}",
            f"lateness of waits   {self.waits_late_by}",
            f"  latest            {'; '.join(self.latest_waits)}",
            f"results after limit {self.late_results}",
            f"scripts over 10 ms  {len(self.slow_scripts)}: {slow}; other commands {self.other_slow_commands}",
            f"unexpected exits    {_list(self.unexpected_exits) or 'none'}",
            f"workers logged      {_list(self.worker_log)}",
            f"problems            {len(self.problems)}",
        ]
        return "\n".join([*lines, *(f"\n  - {problem}" for problem in self.problems)])


def _list(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda c: -c[1]))


def from_kill_to_next_call(calls: Sequence[Call], faults: Sequence[InjectedFault]) -> list[Recovery]:
    """Return the seconds until the repetition of each call that a kill interrupted."""
    starts: dict[str, list[float]] = defaultdict(list)
    for call in calls:
        starts[call.key].append(call.started_at)
    interrupted = [call for call in calls if call.ended_at is None]
    recoveries = []
    for fault in faults:
        for call in interrupted:
            is_killed = call.group == fault.effect.group or call.pid == fault.effect.pid
            following = [moment for moment in starts[call.key] if moment > fault.at]
            if is_killed and call.started_at <= fault.at and following:
                recoveries.append(_recovery(min(following) - fault.at, f"the call {call.key}", fault))
    return recoveries


def from_kill_to_next_message(
    received: Sequence[ReceivedMessage], started: Mapping[str, list[float]], faults: Sequence[InjectedFault]
) -> list[Recovery]:
    """Return the seconds until the start of each message that a killed worker had received and not started.

    The time counts from the kill, or from the due time if that is later. Another message of the same token counts.
    """
    of_group: dict[int, list[ReceivedMessage]] = defaultdict(list)
    for message in received:
        of_group[message.group].append(message)
    recoveries = []
    for fault in faults:
        for message in of_group[fault.effect.group or 0]:
            moments = started.get(message.token, [])
            # A message that was started before the kill is a duplicate.
            is_lost = message.received_at <= fault.at and not any(moment <= fault.at for moment in moments)
            following = [moment for moment in moments if moment > fault.at]
            if is_lost and following:
                seconds = max(0.0, min(following) - max(fault.at, message.due))
                recoveries.append(_recovery(seconds, f"the message {message.token}", fault))
    return recoveries


def _recovery(seconds: float, what: str, fault: InjectedFault) -> Recovery:
    return Recovery(seconds, what, f"{fault.kind} ({fault.effect.text})", fault.at)


def _distribution(recoveries: Sequence[Recovery]) -> Distribution:
    return Distribution.of([one.seconds for one in recoveries])


def count_repeated(calls: Sequence[Call]) -> int:
    """Return the number of repeated calls under one idempotency key."""
    return len(calls) - len(Counter(call.key for call in calls))


def slow_scripts(slow: Sequence[Slow], faults: Sequence[InjectedFault]) -> tuple[list[str], int]:
    """Return the scripts in a slow log, slowest first, and the number of other slow commands.

    Commands that ran while the server was frozen are ignored.
    """
    frozen = [fault for fault in faults if fault.kind == "freeze redis"]
    relevant = [s for s in slow if not any(fault.at - 1 <= s.at <= fault.until + 1 for fault in frozen)]
    scripts = sorted((entry for entry in relevant if entry.script), key=lambda entry: -entry.ms)
    return [f"{entry.script} {entry.ms:.0f} ms" for entry in scripts], len(relevant) - len(scripts)


def summarize(
    *,
    seed: int,
    duration: float,
    idle_after: float,
    findings: Findings,
    nemesis: Nemesis,
    ledger: Ledger,
    slow: Sequence[Slow],
    unexpected_exits: dict[str, int],
) -> Summary:
    """Compute the summary."""
    scripts, others = slow_scripts(slow, nemesis.injected)
    calls = ledger.calls()
    received, started = ledger.messages()
    next_calls = from_kill_to_next_call(calls, nemesis.injected)
    next_messages = from_kill_to_next_message(received, started, nemesis.injected)
    next_steps = [*next_calls, *next_messages]
    return Summary(
        seed=seed,
        duration=duration,
        idle_after=idle_after,
        executions=findings.executions,
        sub_executions=findings.sub_executions,
        events=findings.events,
        statuses=dict(findings.statuses),
        flows=dict(findings.flows),
        faults=dict(nemesis.counts()),
        calls=len(calls),
        repeated_calls=count_repeated(calls),
        messages=len(received),
        messages_affected=dict(nemesis.messages()),
        from_kill_to_next_step=_distribution(next_steps),
        from_kill_to_next_call=_distribution(next_calls),
        from_kill_to_next_message=_distribution(next_messages),
        slowest_recoveries=[recovery.text(nemesis.began) for recovery in sorted(next_steps, reverse=True)[:_SLOWEST]],
        waits_late_by=Distribution.of([waited.late for waited, _ in findings.waits]),
        latest_waits=[
            f"{waited.late:.1f} s: {waited.step} of {ref}, due at {waited.due - nemesis.began:.1f} s"
            for waited, ref in sorted(findings.waits, key=lambda found: -found[0].late)[:_SLOWEST]
        ],
        late_results=findings.late_results,
        slow_scripts=scripts,
        other_slow_commands=others,
        unexpected_exits=unexpected_exits,
        worker_log=ledger.log_lines(),
        problems=list(findings.problems),
    )
