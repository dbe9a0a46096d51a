"""Every flow test on a real Redis, by the store and the engine as in production, gives the history of virtual time."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pollflow.store import StoredEvent
from pollflow.testing.cases import Case, load_cases
from pollflow.testing.on_redis import run_on_redis
from pollflow.testing.running import files_of, judge, run_in_virtual_time
from tests.workers import PROJECT

FILES = files_of([PROJECT / "tests" / "flowtests"])


def told(event: StoredEvent) -> tuple[Any, ...]:
    # The names of sub-executions follow from their parent's id, which is random.
    detail = re.sub(r"sub-[0-9a-f]{24}", "sub-NAME", json.dumps(event.detail, sort_keys=True))
    return event.id, event.cause, round(event.at, 3), event.type, event.step, detail


def runs(path: Path) -> list[Case]:
    return [case for case in load_cases(path) if case.expected.invalid is None]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_cases_hold_on_redis_and_give_the_same_history(path: Path, store_url: str) -> None:
    for case in runs(path):
        verdict = judge(case, lambda case, flow: run_on_redis(store_url, case, flow))
        assert not verdict.differences, verdict
        virtual = run_in_virtual_time(case, case.definition.read())
        real = run_on_redis(store_url, case, case.definition.read())
        if "token" not in case.definition.text:
            assert [told(event) for event in real.history] == [told(event) for event in virtual.history], case.name
