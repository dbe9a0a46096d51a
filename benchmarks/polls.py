"""Polls: wait a second, ask for a status, decide; saturated, and compared with raw Celery hops.

`poll` runs on a dedicated app, `poll-inline` there with inline steps, `poll-acks` on an app with acknowledgements. The
ratio of CPU is the number of raw hops that a poll costs. E executions that wait for a second can make at most E polls
per second: the measured rate must be well below that.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack

from benchmarks.frame import MIN_ROUNDS, Report, compare
from benchmarks.workloads import POOLS, Batch, pollflow_site, raw_hops
from pollflow import Client

FLOW = """
version: v1
type: flow
steps:
  - {type: pass, name: Init, outputMappings: [{target: number, source: 0}]}
  - {type: wait, name: Wait, duration: 1}
  - type: task
    name: Status
    resourceArn: acs:fc:::services/bench/functions/status
    inputMappings:
      - {target: number, source: $local.number}
      - {target: polls, source: $input.polls}
  - type: choice
    name: Check
    choices:
      - {condition: $.status == "running", goto: Wait}
"""
INLINE = FLOW.replace("type: flow\n", "type: flow\ninlineSteps: true\n", 1)
HOPS = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=MIN_ROUNDS)
    parser.add_argument("--executions", type=int, default=500, help="executions per round")
    parser.add_argument("--polls", type=int, default=10, help="polls of an execution")
    parser.add_argument("--chains", type=int, default=100, help=f"raw chains of {HOPS} hops per round")
    parser.add_argument("--pool", choices=POOLS, default="prefork", help="the pool of the workers (default: prefork)")


def run(options: argparse.Namespace) -> Report:
    """Compare polls with raw hops."""
    with ExitStack() as stack:
        subjects = []
        for name, flow, acks in (("poll", FLOW, False), ("poll-inline", INLINE, False), ("poll-acks", FLOW, True)):
            at = stack.enter_context(pollflow_site(options.pool, acks=acks))
            client = stack.enter_context(Client(at.url))
            client.deploy_text(flow, "polls")

            def start(client: Client = client) -> None:
                client.start("polls", {"polls": options.polls})

            subjects.append(Batch(start, options.executions, options.polls).variant(name, "poll", at))
        baseline = stack.enter_context(raw_hops(options.pool, options.chains, HOPS))
        return Report.of({f"polls, {options.pool}": compare(subjects, baseline, options.rounds)})
