"""Time, CPU and memory of a step without a codec, with compression, with encryption, and with both."""

from __future__ import annotations

import argparse
import base64
from contextlib import ExitStack

from celery import Celery

import pollflow
from benchmarks.codec_app import CODECS, codec_of
from benchmarks.frame import MIN_ROUNDS, Report, Site, Variant, compare, site
from benchmarks.workloads import Batch, chain_of
from pollflow import Client

APP = "benchmarks.codec_app"
STEPS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=MIN_ROUNDS)
    parser.add_argument("--executions", type=int, default=10, help="executions per round")
    parser.add_argument("--bytes", type=int, default=2000, help="the size of the input")


def run(options: argparse.Namespace) -> Report:
    """Compare the codecs with none, each on a site of its own."""
    with ExitStack() as stack:
        baseline, *subjects = (variant_of(name, stack, options) for name in CODECS)
        report = Report.of({"codec": compare(subjects, baseline, options.rounds)})
        figures = report.data["comparisons"]["codec"]["variants"]
        for variant in (baseline, *subjects):
            assert isinstance(variant.at, Site)
            memory = int(variant.at.redis.info("memory")["used_memory_dataset"])
            units = sum(round.units for round in variant.rounds) + variant.rounds[0].units  # and the warm-up
            figures[variant.name]["redis_bytes_per_unit"] = memory // units
            report.lines.append(f"{variant.name}: {memory // units} bytes of Redis per step")
        return report


def variant_of(name: str, stack: ExitStack, options: argparse.Namespace) -> Variant:
    """Return the variant of a codec."""
    at = stack.enter_context(site())
    at.start_worker(APP, "-c", "2", env={"BENCH_CODEC": name})
    app = Celery(f"codec-{name}", broker=at.url)
    app.conf.pollflow_codec = codec_of(name)
    pollflow.attach(app)
    client = stack.enter_context(Client(app))
    client.deploy_text(chain_of("type: pass", STEPS), "steps")
    # Text with some repetition, as JSON of users has.
    words = base64.b64encode(bytes(number % 251 for number in range(options.bytes // 3))).decode()
    data = {"jobs": [{"id": number, "text": words[:100]} for number in range(max(1, options.bytes // 130))]}
    return Batch(lambda: client.start("steps", data), options.executions, STEPS).variant(name, "step", at)
