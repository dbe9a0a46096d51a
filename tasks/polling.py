"""A simulated remote API: a job takes the seconds in its input. Replace both functions with calls to your own API."""

import os
import uuid
from functools import cache
from typing import Any

from redis import Redis

import pollflow

KEPT_SECONDS = 7 * 86_400  # after the last status request for a job


@cache
def jobs() -> Redis:
    """Return the connection to the Redis that stores the jobs, since all workers share them."""
    return Redis.from_url(os.environ["POLLFLOW_REDIS_URL"])


def key_of(job_id: str) -> str:
    """Return the key that stores when a job was started."""
    return f"fnf-demo:job:{job_id}"


def now() -> float:
    """Return the time by the clock that all workers share, that of Redis, in epoch seconds."""
    seconds, microseconds = jobs().time()
    return float(seconds) + float(microseconds) / 1e6


@pollflow.function("fnf-demo/StartJob")
def start_job(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
    """Start a job. When a worker died and the call is repeated, the key is the same, and so is the job."""
    job_id = str(uuid.uuid5(uuid.NAMESPACE_OID, context.idempotency_key))
    jobs().set(key_of(job_id), now(), nx=True, ex=KEPT_SECONDS)
    context.logger.info("job started")
    return {"job_id": job_id}


@pollflow.function("fnf-demo/GetJobStatus")
def get_job_status(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
    """Return the status of a job. It succeeds `delay` seconds (60 by default) after its start."""
    job_id, delay = input["job_id"], input.get("delay")
    started_at = jobs().getex(key_of(job_id), ex=KEPT_SECONDS)
    if started_at is None:
        raise pollflow.TaskError("JobNotFound", f"no job {job_id} was started in the last {KEPT_SECONDS} s")
    done = now() - float(started_at) >= (60 if delay is None else delay)
    return {
        "job_id": job_id,
        "job_status": "success" if done else "running",
        "try_count": (input.get("try_count") or 0) + 1,
    }
