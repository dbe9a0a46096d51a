"""Read all data after the run, and report what is lost, duplicated, different or left over."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from pollflow import Client
from pollflow.errors import ExecutionNotExists
from pollflow.machine import Status
from pollflow.store import SHARDS, ExecutionRecord, ExecutionRef, Keys, WakeUp, connect
from pollflow.testing import RunResult
from tests.chaos.expected import expected, flows
from tests.chaos.flows import CHILD, DEFINITIONS
from tests.chaos.histories import History, Waited, event_line
from tests.chaos.ledger import Ledger
from tests.chaos.plan import Planned

_HISTORY_SHOWN = 40


@dataclass(slots=True)
class Findings:
    """The problems that the checker found, and its counts."""

    problems: list[str] = field(default_factory=list)
    executions: int = 0
    sub_executions: int = 0
    events: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    flows: Counter[str] = field(default_factory=Counter)
    waits: list[tuple[Waited, ExecutionRef]] = field(default_factory=list)
    late_results: int = 0


class Checker:
    """Check one run."""

    def __init__(self, url: str, ledger: Ledger, planned: list[Planned]) -> None:
        self._redis = connect(url)
        self._keys = Keys()
        self._client = Client(url)
        self._reading = self._client._container.reading
        self._ledger = ledger
        self._planned = {ExecutionRef(p.flow, p.name): p for p in planned}
        self._stops = ledger.stops()
        self._has_losses = bool(ledger.losses())
        self._starts: dict[str, int] = {}
        self._children: dict[str, list[ExecutionRecord]] = defaultdict(list)
        self.findings = Findings()

    def running(self) -> list[str]:
        """Return the refs of executions that have not ended."""
        return self._indexed(Status.RUNNING)

    def events_of(self, refs: list[str]) -> int:
        """Return the total number of history events."""
        return sum(self._reading.execution(ExecutionRef.parse(ref)).info.events for ref in refs)

    def pending_wake_ups(self) -> list[str]:
        """Return members of the wake-up index other than purges of ended executions."""
        found = []
        for shard in range(SHARDS):
            for member in self._redis.zrange(self._keys.wake(shard), 0, -1):
                if WakeUp.parse(member).job != "purge":
                    found.append(member)
        return found

    def check(self) -> Findings:
        """Run all checks and return what they found."""
        add = self.findings.problems.extend
        add(f"during the run: {text}" for text in dict.fromkeys(self._ledger.problems()))
        refs = {ExecutionRef.parse(text) for text in self._indexed(None)}
        add(self._missing(refs))
        for ref in sorted(refs, key=str):
            if ref.flow == CHILD:
                record = self._reading.execution(ref)
                self._children[record.input["salt"]].append(record)
        for ref in sorted(refs, key=str):
            add(self._with_history(ref, self._check_execution(ref)))
        add(self._check_log_lines())
        add(self._check_calls())
        add(self._check_indexes(refs))
        add(self._check_wake_ups(refs))
        add(self._check_keys(refs))
        add(self._check_audit(refs))
        return self.findings

    def _indexed(self, status: Status | None) -> list[str]:
        keys = [self._keys.index(shard, None, status) for shard in range(SHARDS)]
        return [ref for key in keys for ref in self._redis.zrange(key, 0, -1)]

    def _missing(self, refs: set[ExecutionRef]) -> Iterator[str]:
        acknowledged = self._ledger.acknowledged_at()
        for ref, planned in self._planned.items():
            if planned.name not in acknowledged:
                yield f"{ref} was never acknowledged"
            elif ref not in refs:
                yield f"{ref} was acknowledged at {acknowledged[planned.name]:.3f} and is lost"
        for ref in refs - set(self._planned):
            if ref.flow != CHILD:
                yield f"{ref} was not planned"

    def _with_history(self, ref: ExecutionRef, problems: Iterator[str]) -> Iterator[str]:
        found = list(problems)
        if found:
            events = list(self._reading.whole_history(self._reading.execution(ref).key))[-_HISTORY_SHOWN:]
            lines = "\n      ".join(event_line(event) for event in events)
            yield f"{ref}: " + "\n    ".join(found) + f"\n    its history:\n      {lines}"

    def _check_execution(self, ref: ExecutionRef) -> Iterator[str]:
        record = self._reading.execution(ref)
        history = History(list(self._reading.whole_history(record.key)))
        self._count(record, history)
        if not record.status.ended:
            yield f"it is {record.status.value}"
            return
        yield from history.problems()
        for waited in history.waits(flows()[ref.flow]):
            self.findings.waits.append((waited, ref))
            if waited.late < 0:
                yield f"a wait of {waited.seconds} s ended {-waited.late:.6f} s early"
        planned = self._planned.get(ref)
        if planned is not None:
            yield from self._check_planned(planned, record, history)

    def _count(self, record: ExecutionRecord, history: History) -> None:
        self._starts[record.id] = history.starts()
        self.findings.events += len(history.events)
        self.findings.statuses[record.status.value] += 1
        self.findings.flows[record.ref.flow] += 1
        if record.ref.flow == CHILD:
            self.findings.sub_executions += 1
        else:
            self.findings.executions += 1

    def _check_planned(self, planned: Planned, record: ExecutionRecord, history: History) -> Iterator[str]:
        stop = self._stops.get(planned.name, "")
        if record.status is Status.STOPPED:
            if not stop:
                yield "it was stopped, but not by the load"
            yield from self._check_children(planned, None)
            return
        if stop == "stopped":
            yield f"its stop was acknowledged, but it is {record.status.value}"
        runs = expected(planned)
        run = next((run for run in runs if _outcome_of(run) == _outcome(record)), None)
        if run is None:
            yield f"its outcome is {_outcome(record)}; expected {_outcome_of(runs[0])}"
            return
        self.findings.late_results += run is not runs[0]
        yield from history.differences(run.history)
        yield from self._check_children(planned, run)

    def _check_children(self, planned: Planned, run: RunResult | None) -> Iterator[str]:
        """Check a sub-flow; `run` is the expected run of its parent, or None if the parent was stopped."""
        children = self._children.pop(planned.input["salt"], [])
        if planned.flow != "chaos-sub-flow":
            return
        # A worker may have started another one for a step that Redis lost in a crash.
        is_doubled = len(children) > 1 and not self._has_losses
        if is_doubled or (run is not None and not children):
            yield f"it has {len(children)} sub-executions: {[str(child.ref) for child in children]}"
            return
        required = expected(planned)[0].sub_executions[0]
        for child in children:
            if child.status is Status.STOPPED and (run is None or self._has_losses):
                continue
            if _outcome(child) != _outcome_of(required):
                yield f"the outcome of its sub-execution is {_outcome(child)}; expected {_outcome_of(required)}"
            else:
                history = History(list(self._reading.whole_history(child.key)))
                yield from (f"its sub-execution: {text}" for text in history.differences(required.history))

    def _check_log_lines(self) -> Iterator[str]:
        if count := self._ledger.log_lines().get("a background job failed"):
            yield f"{count} background jobs of workers failed; see their logs"

    def _check_calls(self) -> Iterator[str]:
        """Check that each call has a claim, except claims that Redis lost."""
        if self._has_losses:
            return
        made = Counter(call.key.partition("/")[0] for call in self._ledger.calls())
        for execution_id, count in made.items():
            starts = self._starts.get(execution_id)
            if starts is None:
                yield f"{count} calls were made for the unknown execution {execution_id}"
            elif count > starts:
                yield f"{count} calls were made for execution {execution_id}; its history has {starts} starts"

    def _check_indexes(self, refs: set[ExecutionRef]) -> Iterator[str]:
        for ref in refs:
            try:
                status = self._reading.execution(ref).status
            except ExecutionNotExists:
                yield f"{ref} is in the indexes and does not exist"
                continue
            required = {*self._keys.indexes(ref, status), *self._keys.lasting_indexes(ref)}
            others = {key for other in Status for key in self._keys.indexes(ref, other)} - required
            for key in required | others:
                if (self._redis.zscore(key, str(ref)) is not None) != (key in required):
                    yield f"{ref} is {status.value} and {'missing' if key in required else 'present'} in {key}"
        for salt, children in self._children.items():
            yield f"sub-executions without a parent for {salt}: {[str(child.ref) for child in children]}"

    def _check_wake_ups(self, refs: set[ExecutionRef]) -> Iterator[str]:
        yield from (f"a wake-up is left over: {member}" for member in self.pending_wake_ups())
        purges = set()
        for shard in range(SHARDS):
            for member in self._redis.zrange(self._keys.wake(shard), 0, -1):
                wake_up = WakeUp.parse(member)
                if wake_up.job == "purge":
                    purges.add(wake_up.execution.ref)
        yield from (f"no purge is scheduled for {ref}" for ref in refs - purges)
        yield from (f"a purge is scheduled for {ref}, which does not exist" for ref in purges - refs)

    def _check_keys(self, refs: set[ExecutionRef]) -> Iterator[str]:
        lasting = {self._keys.flow(name) for name in DEFINITIONS}
        lasting |= {self._keys.flows(), self._keys.route(), self._keys.functions(), self._keys.audit()}
        lasting |= {self._keys.wake(shard) for shard in range(SHARDS)}
        lasting |= {self._keys.definition(flow.digest) for flow in flows().values()}
        for ref in refs:
            lasting |= {self._keys.execution(ref), self._keys.history(ref), self._keys.blocks(ref)}
            lasting |= {self._keys.values(ref), self._keys.cancellations(ref), self._keys.parents(ref)}
            lasting |= set(self._keys.lasting_indexes(ref))
            lasting |= {key for status in Status for key in self._keys.indexes(ref, status)}
        for key in self._redis.scan_iter(f"{self._keys.prefix}:*", count=1000):
            if key not in lasting and self._redis.ttl(key) == -1:
                yield f"a key is left over: {key}"

    def _check_audit(self, refs: set[ExecutionRef]) -> Iterator[str]:
        """A stop that changed an execution is in the audit log once, also if its client was killed and repeated it."""
        found = Counter(
            ExecutionRef(entry.flow, entry.name)
            for entry in self._client.audit(limit=10_000)
            if entry.operation == "stop"
        )
        for ref in refs:
            is_stopped = self._reading.execution(ref).status is Status.STOPPED and ref.flow != CHILD
            if found[ref] != is_stopped:
                yield f"{ref} is {'' if is_stopped else 'not '}stopped, and {found[ref]} times in the audit log"


def _outcome(record: ExecutionRecord) -> tuple[str, object, str, str]:
    return record.status.value, record.output, record.error or "", record.cause or ""


def _outcome_of(run: RunResult) -> tuple[str, object, str, str]:
    return run.status.value, run.output, run.error or "", run.cause or ""
