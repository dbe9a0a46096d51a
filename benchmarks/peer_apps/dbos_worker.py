"""A worker of DBOS with the polling job, as its documentation writes steps and durable sleeps of async workflows.

The default settings apply, with an executor id for each process, as processes that share a database need, and with a
limit of the workflows that a process takes, so that they share the work.
"""

from __future__ import annotations

import os
import threading

from dbos import DBOS, DBOSConfig


@DBOS.step()  # type: ignore[untyped-decorator]
async def status(number: int, polls: int) -> dict[str, object]:
    """Return the status of a job that runs for `polls` polls."""
    number += 1
    return {"number": number, "status": "running" if number < polls else "done"}


@DBOS.workflow(name="poll")  # type: ignore[untyped-decorator]
async def poll(polls: int) -> None:
    """Wait a second and ask for the status, until the job is done."""
    answer: dict[str, object] = {"number": 0, "status": "running"}
    while answer["status"] == "running":
        await DBOS.sleep_async(1)
        answer = await status(answer["number"], polls)


def main() -> None:
    """Run workflows until a signal ends the process."""
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": os.environ["BENCH_DATABASE_URL"],
        "executor_id": f"worker-{os.getpid()}",
    }
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue("polls", worker_concurrency=int(os.environ["BENCH_CONCURRENCY"]))
    print("worker ready.", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
