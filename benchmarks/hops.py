"""Time and CPU of a hop: pass steps of pollflow against a hand-written Celery chain with one script per task."""

from __future__ import annotations

import argparse
import itertools
import time

from celery import Celery

from benchmarks.frame import Report, Site, Variant, compare, site
from pollflow import Client

APP = "benchmarks.hops_app"
MAX_SECONDS = 300


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chains", type=int, default=10, help="chains per round")
    parser.add_argument("--length", type=int, default=50, help="hops per chain")


def run(options: argparse.Namespace) -> Report:
    """Run both variants in turn, each on a site of its own."""
    with site() as ours, site() as raw:
        for at, variant in ((ours, "pollflow"), (raw, "raw")):
            at.start_worker(APP, "-c", "2", env={"BENCH_VARIANT": variant})
        with Client(ours.url) as client, Celery("sender", broker=raw.url) as sender:
            subject = pollflow_variant(ours, client, options)
            baseline = raw_variant(raw, sender, options)
            return compare("hop", subject, baseline, options.rounds)


def pollflow_variant(at: Site, client: Client, options: argparse.Namespace) -> Variant:
    """Return the variant that runs executions of pass steps."""
    steps = [f"  - {{type: pass, name: Step{number}}}" for number in range(options.length)]
    client.deploy_text("\n".join(["version: v1", "type: flow", "steps:", *steps]), "hops")

    def work() -> int:
        executions = [client.start("hops") for _ in range(options.chains)]
        for execution in executions:
            execution.wait(MAX_SECONDS)
        return int(options.chains * options.length)

    return Variant("pollflow", at, work)


def raw_variant(at: Site, sender: Celery, options: argparse.Namespace) -> Variant:
    """Return the variant that runs chains of tasks."""
    numbers = itertools.count()

    def work() -> int:
        for _ in range(options.chains):
            chain = f"chain-{next(numbers)}"
            at.redis.hset(chain, "at", 0)
            sender.send_task("hop", args=(chain, 0, options.length))
        deadline = time.monotonic() + MAX_SECONDS
        while int(at.redis.llen("ended")) < options.chains:  # type: ignore[arg-type]
            if time.monotonic() > deadline:
                raise RuntimeError(f"the chains did not end within {MAX_SECONDS} s")
            time.sleep(0.01)
        at.redis.delete("ended")
        return int(options.chains * options.length)

    return Variant("raw", at, work)
