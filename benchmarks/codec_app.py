"""The Celery app of the benchmark `codec`: BENCH_CODEC names the codec."""

from __future__ import annotations

import os

from celery import Celery

import pollflow
from pollflow import AesGcmCodec, Codec, ZstdCodec

CODECS = ("none", "zstd", "aes", "both")


def codec_of(name: str) -> Codec | None:
    """Return the codec of a variant."""
    if name == "none":
        return None
    if name == "zstd":
        return ZstdCodec()
    aes = AesGcmCodec({"bench": b"k" * 32})
    return aes if name == "aes" else ZstdCodec(aes)


if "BENCH_CODEC" in os.environ:
    app = Celery("codec", broker=os.environ["POLLFLOW_REDIS_URL"])
    app.conf.broker_connection_retry_on_startup = True
    app.conf.pollflow_codec = codec_of(os.environ["BENCH_CODEC"])
    pollflow.attach(app)
