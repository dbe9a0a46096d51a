"""Removal of the keys that one run of a flow test had for itself."""

from __future__ import annotations

from itertools import islice

from pollflow.store.connection import Connection
from pollflow.store.scripts import translated

_SLICE = 500


def delete_keys(client: Connection, pattern: str) -> None:
    """Delete every key that matches the pattern, as SCAN finds them. Raises StoreUnavailable."""
    with translated():
        keys = client.scan_iter(pattern, count=1000)
        while batch := list(islice(keys, _SLICE)):
            client.unlink(*batch)
