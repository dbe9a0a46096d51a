"""`pollflow audit`: who deployed flows, stopped or purged executions, or rotated keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pollflow.cli import documents
from pollflow.cli.executions import Flows, Limit
from pollflow.cli.options import AsJson, ProjectFolder, RedisUrl
from pollflow.cli.output import print_json
from pollflow.cli.session import connected, find_used_location
from pollflow.cli.tables import Column, print_table
from pollflow.cli.texts import moment

if TYPE_CHECKING:
    from pollflow.client import AuditEntry

COLUMNS = (
    Column("TIME"),
    Column("OPERATION"),
    Column("SUBJECT"),
    Column("BY", least=12),
    Column("DETAIL", drop=1, least=12),
)


def audit(
    *,
    flow: Flows = None,
    limit: Limit = 20,
    as_json: AsJson = False,
    redis: RedisUrl = None,
    project: ProjectFolder = None,
) -> None:
    """List deploys, stops, purges and rotations of keys, the latest first.

    The entries outlive the executions. Redis keeps about the newest ten thousand.
    """
    with connected(find_used_location(redis, project)) as session:
        found = [session.shown_audit(entry) for entry in session.client.audit(flow=flow or None, limit=limit)]
    if as_json:
        print_json([documents.of_audit(entry) for entry in found])
        return
    rows = [(moment(e.time), e.operation, _subject(e), e.by, _detail(e)) for e in found]
    print_table(COLUMNS, rows, empty="no entries found")


def _subject(entry: AuditEntry) -> str:
    return f"{entry.flow}/{entry.name}" if entry.name else entry.flow or "-"


def _detail(entry: AuditEntry) -> str:
    return entry.digest[:12] or entry.error or (f"key {entry.key_id}" if entry.key_id else "")
