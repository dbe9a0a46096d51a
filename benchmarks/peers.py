"""Peers: the polling job on pollflow, DBOS with PostgreSQL, DBOS with SQLite, and redflow.

`poll` runs on a dedicated app, `poll-inline` there with inline steps. Each peer is a baseline of both. Needs
`make ready-peers` and an installed PostgreSQL.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from benchmarks.frame import MIN_ROUNDS, Report, Site, Variant, compared, measure, running
from benchmarks.peer_sites import DbosWorkers, Job, PostgresWorkers, SqliteWorkers, dbos_env, peer, redflow_env
from benchmarks.polls import FLOW, INLINE
from benchmarks.workloads import Batch, pollflow_site
from pollflow import Client

PEERS = ("dbos-postgresql", "dbos-sqlite", "redflow")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=MIN_ROUNDS)
    parser.add_argument("--executions", type=int, default=500, help="executions per round")
    parser.add_argument("--polls", type=int, default=10, help="polls of an execution")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS, help="the peers (default: all)")


def run(options: argparse.Namespace) -> Report:
    """Compare polls of pollflow with those of each peer."""
    job = Job(options.executions, options.polls)
    with ExitStack() as stack:
        peers = [stack.enter_context(_peer(name, job)) for name in options.peers]
        subjects = stack.enter_context(_pollflow(job))
        conditions = measure([*peers, *subjects], options.rounds)
        comparisons = {
            f"polls, {baseline.name}": {**conditions, **compared(subjects, baseline), "server": baseline.at.server}
            for baseline in peers
        }
        return Report.of(comparisons)


@contextmanager
def _pollflow(job: Job) -> Iterator[Sequence[Variant]]:
    with pollflow_site("prefork", acks=False) as at, Client(at.url) as client:

        def variant(name: str, flow: str) -> Variant:
            client.deploy_text(flow, name)
            batch = Batch(lambda: client.start(name, {"polls": job.polls}), job.executions, job.polls)
            return batch.variant(name, "poll", at)

        yield [variant("poll", FLOW), variant("poll-inline", INLINE)]


@contextmanager
def _peer(name: str, job: Job) -> Iterator[Variant]:
    with ExitStack() as stack:
        if name == "redflow":
            redis = stack.enter_context(running(Site))
            yield stack.enter_context(peer(name, redis, "redflow", redflow_env(redis), job))
        else:
            kind: type[DbosWorkers] = PostgresWorkers if name == "dbos-postgresql" else SqliteWorkers
            database = stack.enter_context(running(kind))
            yield stack.enter_context(peer(name, database, "dbos", dbos_env(database.url, job), job))
