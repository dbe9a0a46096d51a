"""The audit log: who deployed flows, stopped or purged executions, or rotated keys. It outlives the executions.

The scripts `end` and `purge` write their entries in the same step as the change, `Definitions.deploy` in the same
transaction, and a rotation before its first change. Redis keeps about the newest ten thousand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pollflow.store.connection import Connection
from pollflow.store.keys import Keys
from pollflow.store.scripts import translated

MAX_ENTRIES = 10_000
"""About how many entries are kept; the prelude of the scripts repeats the number."""
_SLICE = 500
_END_OF_TIME = 253_402_300_800.0
"""The year 10,000 in epoch seconds, which `datetime` does not have."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One entry. `at` is in epoch seconds. Texts that do not apply to the operation are empty."""

    operation: str
    at: float
    by: str
    flow: str
    name: str = ""
    id: str = ""
    error: str = ""
    digest: str = ""
    key_id: str = ""

    @classmethod
    def load(cls, fields: Mapping[str, str]) -> AuditRecord | None:
        """Return the record of an entry; None if it is damaged."""
        flow, _, name = fields.get("ref", "").partition("/")
        try:
            at = float(fields["at"])
        except (KeyError, ValueError):
            return None
        if not 0 <= at < _END_OF_TIME:
            return None
        texts = {key: fields.get(key, "") for key in ("operation", "by", "id", "error", "digest", "key_id")}
        return cls(at=at, flow=flow, name=name, **texts)


def deploy_entry(flow: str, digest: str, at: float, by: str) -> dict[str, str]:
    """Return the fields of the entry of a deploy."""
    return {"operation": "deploy", "at": repr(at), "ref": flow, "digest": digest, "by": by}


@dataclass(frozen=True, slots=True)
class AuditLog:
    """Reads the log, and records rotations."""

    client: Connection
    keys: Keys

    def record_rotation(self, key_id: str, at: float, by: str) -> None:
        """Record who begins to rewrite the data of all executions with a key."""
        entry = {"operation": "rotate", "at": repr(at), "key_id": key_id, "by": by}
        with translated():
            self.client.xadd(self.keys.audit(), entry, maxlen=MAX_ENTRIES)

    def newest_first(self) -> Iterator[AuditRecord]:
        """Yield the entries in slices, the newest first. Damaged ones are left out."""
        last = "+"
        while True:
            with translated():
                found = self.client.xrevrange(self.keys.audit(), last, "-", count=_SLICE)
            for _, fields in found:
                record = AuditRecord.load(fields)
                if record is not None:
                    yield record
            if len(found) < _SLICE:
                return
            last = f"({found[-1][0]}"
