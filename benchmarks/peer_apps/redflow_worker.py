"""A worker of redflow with the polling job, as its documentation writes durable steps and sleeps.

The names of steps are unique within a run, as redflow requires.
"""

from __future__ import annotations

import asyncio
import os

from redflow import StartWorkerOptions, WorkflowHandlerContext, start_worker, workflow

CONCURRENCY = 4
"""The number in the example of redflow's documentation. A run that sleeps uses none of it."""


async def status(number: int, polls: int) -> dict[str, object]:
    """Return the status of a job that runs for `polls` polls."""
    number += 1
    return {"number": number, "status": "running" if number < polls else "done"}


@workflow("poll", queue="default")  # type: ignore[untyped-decorator]
async def poll(ctx: WorkflowHandlerContext) -> None:
    """Wait a second and ask for the status, until the job is done."""
    answer = {"number": 0, "status": "running"}
    while answer["status"] == "running":
        number = answer["number"]
        await ctx.step.wait_for(f"wait-{number}", "1s")
        answer = await ctx.step.run(f"status-{number}", status, number, ctx.input["polls"])


async def main() -> None:
    """Run workflows until a signal ends the process."""
    options = StartWorkerOptions(app="bench", url=os.environ["POLLFLOW_REDIS_URL"], concurrency=CONCURRENCY)
    await start_worker(options)
    print("worker ready.", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
