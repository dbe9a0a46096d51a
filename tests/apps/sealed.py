"""The app of the test of codecs: its keys come from POLLFLOW_CODEC_KEYS. Without keys it has no codec."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

import pollflow
from pollflow import AesGcmCodec, Context, TaskError, ZstdCodec

url = os.environ["POLLFLOW_REDIS_URL"]
app = Celery("sealed", broker=url, backend=url)
app.conf.broker_connection_retry_on_startup = True
if os.environ.get("POLLFLOW_CODEC_KEYS"):
    codec = ZstdCodec(AesGcmCodec.from_environment())
    app.conf.pollflow_codec = "tests.apps.sealed:codec"
pollflow.attach(app)


@pollflow.function("sealed/call")
def call(input: dict[str, Any], context: Context) -> dict[str, Any]:
    """Fail once with a cause that has data of the input."""
    if context.attempt == 1:
        raise TaskError("Busy", f"{input['word']} is busy")
    return {"word": input["word"], "long": [input["word"]] * 100}


@pollflow.function("sealed/fail")
def fail(input: dict[str, Any], context: Context) -> dict[str, Any]:
    """Fail with a cause that has data of the input."""
    raise ValueError(f"the password is {input['word']}")
