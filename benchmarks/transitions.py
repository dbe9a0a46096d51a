"""Transitions: chains of pass steps and of task steps, against raw Celery hops.

`pass` and `task` run on a dedicated app, `pass-acks` and `task-acks` on an app with acknowledgements.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import Any

from benchmarks.frame import MIN_ROUNDS, Report, Site, Variant, compare
from benchmarks.workloads import POOLS, Batch, chain_of, pollflow_site, raw_hops
from pollflow import Client

STEPS = {"pass": "type: pass", "task": "type: task, resourceArn: 'acs:fc:::services/bench/functions/nothing'"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=MIN_ROUNDS)
    parser.add_argument("--executions", type=int, default=100, help="executions and chains per round")
    parser.add_argument("--length", type=int, default=60, help="steps of an execution, hops of a chain")
    parser.add_argument("--pool", choices=POOLS, help="the pool of the workers (default: each in turn)")


def run(options: argparse.Namespace) -> Report:
    """Compare all variants in one pool after another."""
    pools = [options.pool] if options.pool else [*POOLS]
    return Report.of({f"transitions, {pool}": comparison(pool, options) for pool in pools})


def comparison(pool: str, options: argparse.Namespace) -> dict[str, Any]:
    """Compare the variants in a pool."""
    with ExitStack() as stack:
        subjects = []
        for suffix, acks in (("", False), ("-acks", True)):
            at = stack.enter_context(pollflow_site(pool, acks=acks))
            client = stack.enter_context(Client(at.url))
            subjects += [variant(kind, suffix, at, client, options) for kind in STEPS]
        baseline = stack.enter_context(raw_hops(pool, options.executions, options.length))
        return compare(subjects, baseline, options.rounds)


def variant(kind: str, suffix: str, at: Site, client: Client, options: argparse.Namespace) -> Variant:
    """Return the variant that runs executions of steps of one kind."""
    client.deploy_text(chain_of(STEPS[kind], options.length), kind)
    batch = Batch(lambda: client.start(kind), options.executions, options.length)
    return batch.variant(kind + suffix, "transition", at)
