"""Starts workflows of DBOS and waits for their ends, for each line `NUMBER POLLS` of standard input."""

from __future__ import annotations

import os
import sys
import time

import sqlalchemy as sa
from dbos import DBOSClient


def main() -> None:
    """Answer each line with `done` or `failed`."""
    url = os.environ["BENCH_DATABASE_URL"]
    client = DBOSClient(system_database_url=url)
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    status = sa.column("status")
    table = sa.table("workflow_status", status, schema=None if url.startswith("sqlite") else "dbos")

    def count(*counted: str) -> int:
        with engine.connect() as connection:
            query = sa.select(sa.func.count()).select_from(table).where(status.in_(counted))
            return int(connection.execute(query).scalar_one())

    for line in sys.stdin:
        number, polls = map(int, line.split())
        for _ in range(number):
            client.enqueue({"queue_name": "polls", "workflow_name": "poll"}, polls)
        while count("ENQUEUED", "PENDING"):
            time.sleep(0.05)
        print("failed" if count("ERROR", "CANCELLED") else "done", flush=True)


if __name__ == "__main__":
    main()
