"""Time, CPU and memory of a step without a codec, with compression, with encryption, and with both."""

from __future__ import annotations

import argparse
import base64
from contextlib import ExitStack

from celery import Celery

import pollflow
from benchmarks.codec_app import CODECS, codec_of
from benchmarks.frame import MIN_ROUNDS, Report, Site, Variant, site
from pollflow import Client

APP = "benchmarks.codec_app"
MAX_SECONDS = 300
STEPS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--executions", type=int, default=10, help="executions per round")
    parser.add_argument("--bytes", type=int, default=2000, help="the size of the input")


def run(options: argparse.Namespace) -> Report:
    """Run the variants in turn, each on a site of its own."""
    with ExitStack() as stack:
        variants = []
        for name in CODECS:
            at = stack.enter_context(site())
            at.start_worker(APP, "-c", "2", env={"BENCH_CODEC": name})
            variants.append(variant_of(name, at, stack, options))
        for variant in variants:
            variant.measure()
        for _ in range(max(MIN_ROUNDS, options.rounds)):
            for variant in variants:
                variant.rounds.append(variant.measure())
        return report_of(variants)


def variant_of(name: str, at: Site, stack: ExitStack, options: argparse.Namespace) -> Variant:
    """Return the variant of a codec."""
    app = Celery(f"codec-{name}", broker=at.url)
    app.conf.pollflow_codec = codec_of(name)
    pollflow.attach(app)
    client = stack.enter_context(Client(app))
    steps = [f"  - {{type: pass, name: Step{number}}}" for number in range(STEPS)]
    client.deploy_text("\n".join(["version: v1", "type: flow", "steps:", *steps]), "steps")
    # Text with some repetition, as JSON of users has.
    words = base64.b64encode(bytes(number % 251 for number in range(options.bytes // 3))).decode()
    data = {"jobs": [{"id": number, "text": words[:100]} for number in range(max(1, options.bytes // 130))]}

    def work() -> int:
        executions = [client.start("steps", data) for _ in range(options.executions)]
        for execution in executions:
            execution.wait(MAX_SECONDS)
        return int(options.executions * STEPS)

    return Variant(name, at, work)


def report_of(variants: list[Variant]) -> Report:
    """Return the medians per step."""
    summaries = {variant.name: variant.summary() for variant in variants}
    lines = ["microseconds per step, median (lowest-highest):"]
    for variant in variants:
        summary = summaries[variant.name]
        figures = {"wall": summary["wall_us"], **{f"CPU of {n}": v for n, v in summary["cpu_us"].items()}}
        texts = [f"{n} {v['median']:.0f} ({v['min']:.0f}-{v['max']:.0f})" for n, v in figures.items()]
        units = sum(round.units for round in variant.rounds) + variant.rounds[0].units
        memory = int(variant.at.redis.info("memory")["used_memory_dataset"]) // units
        summary["bytes"] = memory
        lines.append(f"{variant.name:<9}" + "  ".join([*texts, f"{memory} bytes of Redis"]))
    return Report(lines, {"unit": "step", "variants": summaries})
