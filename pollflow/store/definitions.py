"""Deployed flows by name. A flow refers to its current definition by digest; an execution keeps its own digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pollflow.errors import DamagedRecord, FlowNotExists
from pollflow.store.audit import MAX_ENTRIES, deploy_entry
from pollflow.store.clock import Clock
from pollflow.store.connection import Connection
from pollflow.store.keys import Keys
from pollflow.store.scripts import translated
from pollflow.suggestions import near

_MAX_LISTED = 10


@dataclass(frozen=True, slots=True)
class FlowRecord:
    """A deployed flow. Times are epoch seconds."""

    name: str
    digest: str
    created_at: float
    modified_at: float
    description: str = ""


@dataclass(frozen=True, slots=True)
class Definitions:
    """Texts by digest, and flows by name."""

    client: Connection
    keys: Keys

    def deploy(
        self, name: str, digest: str, text: str, at: float, description: str = "", *, by: str | None = None
    ) -> FlowRecord:
        """Make the text the flow's current definition, and record in the audit log who deployed it."""
        key = self.keys.flow(name)
        with translated():
            pipe = self.client.pipeline(transaction=True)
            pipe.set(self.keys.definition(digest), text)
            pipe.hsetnx(key, "created_at", repr(at))
            pipe.hset(key, mapping={"digest": digest, "modified_at": repr(at), "description": description})
            pipe.sadd(self.keys.flows(), name)
            if by is not None:
                pipe.xadd(self.keys.audit(), deploy_entry(name, digest, at, by), maxlen=MAX_ENTRIES)
            pipe.execute()
        return self.flow(name)

    def flow(self, name: str) -> FlowRecord:
        """Return a deployed flow. Raises FlowNotExists, DamagedRecord."""
        with translated():
            fields = self.client.hgetall(self.keys.flow(name))
        return self._record(name, fields)

    def flow_and_time(self, name: str, clock: Clock) -> tuple[FlowRecord, float]:
        """Return a deployed flow and the time by Redis' clock, in one round trip. Raises as `flow` does."""
        with translated(), self.client.pipeline(transaction=False) as pipe:
            pipe.hgetall(self.keys.flow(name))
            pipe.time()
            fields, time = pipe.execute()
        return self._record(name, fields), clock.time_of(time)

    def _record(self, name: str, fields: Mapping[str, str]) -> FlowRecord:
        if "digest" not in fields:
            raise FlowNotExists(f'no flow "{name}" is deployed{similar_flow(name, self.names())}')
        try:
            created_at, modified_at = float(fields["created_at"]), float(fields["modified_at"])
        except (ValueError, KeyError) as error:
            raise DamagedRecord(f'the times of flow "{name}" cannot be decoded: {error}') from error
        return FlowRecord(name, fields["digest"], created_at, modified_at, fields.get("description", ""))

    def names(self) -> list[str]:
        """Return the names of all deployed flows, sorted."""
        with translated():
            return sorted(self.client.smembers(self.keys.flows()))

    def text(self, digest: str) -> str:
        """Return the text of a definition. Raises FlowNotExists if Redis has lost it."""
        with translated():
            text: str | None = self.client.get(self.keys.definition(digest))
        if text is None:
            raise FlowNotExists(f"the definition with digest {digest} is not stored")
        return text


def similar_flow(name: str, deployed: Sequence[str]) -> str:
    """Return the end of a message about an unknown flow: the nearest deployed flow, or some that are deployed."""
    guess = near(name, deployed)
    if guess is not None:
        return f'; did you mean "{guess}"?'
    further = f" and {len(deployed) - _MAX_LISTED} more" if len(deployed) > _MAX_LISTED else ""
    return f"; deployed: {', '.join(deployed[:_MAX_LISTED]) or 'none'}{further}"
