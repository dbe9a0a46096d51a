"""docs/redis.md lists every key of `keys.py`, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from pollflow.machine import Status
from pollflow.store import ExecutionRef, Keys

PAGE = (Path(__file__).parents[2] / "docs" / "redis.md").read_text()
REF = ExecutionRef("FLOW", "NAME")


def test_the_page_lists_existing_keys_only() -> None:
    keys = Keys()
    shard = REF.shard
    made = {
        keys.execution(REF),
        keys.frame(REF, "FRAME"),
        keys.frames(REF),
        keys.results(REF, "FRAME"),
        keys.history(REF),
        keys.values(REF),
        keys.blocks(REF),
        keys.cancellations(REF),
        keys.wake(shard),
        keys.index(shard, "FLOW", Status.RUNNING).replace("Running", "STATUS"),
        keys.flow("NAME"),
        keys.flows(),
        keys.definition("SHA256"),
        keys.route(),
        keys.functions(),
        keys.sweeper(),
        keys.mark(),
    }
    named = {
        key.replace("{S}", f"{{{shard}}}").replace("REF", str(REF))
        for key in re.findall(r"^\| `(pollflow:[^`]+)`", PAGE, re.M)
    }
    assert named == made


def test_this_test_covers_every_key_of_the_module() -> None:
    methods = {name for name in vars(Keys) if not name.startswith("_") and callable(getattr(Keys, name))}
    covered = {
        "execution",
        "frame",
        "frames",
        "results",
        "history",
        "blocks",
        "values",
        "cancellations",
        "wake",
        "index",
        "flow",
        "flows",
    }
    assert methods - covered - {"definition", "route", "functions", "sweeper", "mark"} == {"indexes", "lasting_indexes"}
