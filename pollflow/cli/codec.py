"""`pollflow codec rotate`: rewrite stored data with the current key."""

from __future__ import annotations

import os
from collections import Counter
from enum import Enum
from typing import Annotated

import typer

from pollflow.cli.exits import FAILED, CommandError
from pollflow.cli.options import By, ProjectFolder, RedisUrl
from pollflow.cli.output import write_line
from pollflow.cli.session import connected, find_used_location

_PROGRESS_EXECUTIONS = 100
_MAX_PROBLEMS = 20


class Action(str, Enum):
    """What `pollflow codec` can do."""

    ROTATE = "rotate"


ActionName = Annotated[Action, typer.Argument(metavar="ACTION", help="rotate")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count the records that are left to rewrite.")]


def codec(
    *,
    action: ActionName,
    dry_run: DryRun = False,
    by: By = None,
    redis: RedisUrl = None,
    project: ProjectFolder = None,
) -> None:
    """Rewrite stored data with the current key of the codec.

    `rotate` reads all executions and rewrites what has another key or none, in slices, while workers run. It may be
    interrupted and repeated. Deploy the new key to all workers first. When nothing is left, the old key can be removed.
    The audit log has an entry, unless `--dry-run` only counts.
    """
    from pollflow.client.rotation import rotations

    counts: Counter[str] = Counter()
    problems: list[str] = []
    executions = left = 0
    with connected(find_used_location(redis, project)) as session:
        for rotated in rotations(session.client, is_dry=dry_run, by=by):
            executions += 1
            counts += rotated.rewritten
            left += rotated.left
            problems += rotated.problems
            if os.isatty(2) and executions % _PROGRESS_EXECUTIONS == 0:
                write_line(f"{executions:,} executions, {sum(counts.values()):,} records so far", is_error=True)
    verb = "to rewrite" if dry_run else "rewritten"
    write_line(f"{sum(counts.values()):,} records {verb} in {executions:,} executions{_by_key(counts)}")
    for problem in problems[:_MAX_PROBLEMS]:
        write_line(problem, is_error=True)
    if problems:
        raise CommandError(f"{len(problems):,} records cannot be decoded, so they are left as they are")
    if left:
        write_line(f"{left:,} records changed meanwhile; repeat the command", is_error=True)
        raise typer.Exit(FAILED)


def _by_key(counts: Counter[str]) -> str:
    """Return the numbers of records by their key before."""
    from pollflow.store import CLEAR_KEY  # imports redis

    names = {CLEAR_KEY: "not encoded"}
    texts = [f"{names.get(key, f'key {key}')}: {count:,}" for key, count in counts.most_common()]
    return f" ({', '.join(texts)})" if texts else ""
