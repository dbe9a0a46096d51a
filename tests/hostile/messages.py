"""Forged messages of pollflow's Celery tasks, as a stranger who can write to the broker sends them."""

from __future__ import annotations

import json
import uuid
from typing import Any

from pollflow.runtime.incoming import SWEEP_TASK

STEP_TASK = "pollflow.task"
KEY = ["polling", "forged", "0123", 0, "r", "token"]
EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
CONTROL = "\x1b[31m\r\nINJECTED \x9b \u2028"
LONG = "x" * 1_000_000
DEEP = "[" * 100_000 + "]" * 100_000

ARGS: list[Any] = [
    *(None, 1, "text", {}, {"a": 1}, [], [[]], [KEY], KEY[:-1], [*KEY, 1], [*KEY[:-1], None], [None] * 6),
    *([[*KEY[:3], number, *KEY[4:]] for number in ("0", True, 0.5, -1, 10**400, None)]),
    *([[*KEY[:index], text, *KEY[index + 1 :]] for index in (0, 1, 2, 4, 5) for text in ("", CONTROL, LONG, "\ud800")]),
    [{"__type__": "decimal", "__value__": "x"}] * 6,
]
BODIES: list[Any] = [
    *(None, 1, "args", [], {}, [[], {}], [KEY, {}, EMBED, 1], {"args": KEY, "kwargs": {}}, [KEY, [], EMBED]),
    *([KEY, {"key": 1}, EMBED], [KEY, {}, 1], [KEY, {}, {**EMBED, "callbacks": [{"task": "own.quick"}]}]),
    *([KEY, {}, {**EMBED, "chain": [1]}], [KEY, {}, {**EMBED, "chord": "x"}], [KEY, {}, {**EMBED, "errbacks": [1]}]),
    *([args, {}, EMBED] for args in ARGS),
]
RAW_BODIES = ["", "{", "nothing", "NaN", DEEP, '{"a":' * 10_000, "\x00", "[[1e999], {}, {}]"]
HEADERS: list[dict[str, Any]] = [
    *({"id": value} for value in (None, 1, [], {}, CONTROL, LONG)),
    *({"eta": value} for value in (1, [], "soon", CONTROL, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")),
    *({"expires": value} for value in ({}, "never", True, 10**400)),
    *({"retries": value} for value in ("x", [], -1, 10**400, float("nan"))),
    *({"timelimit": value} for value in (1, "ab", [1], ["a", "b"], {"a": 1, "b": 2}, [10**400, None])),
    *({name: value} for name in ("root_id", "parent_id", "shadow", "origin") for value in (1, [], CONTROL, LONG)),
    *({"argsrepr": 1}, {"kwargsrepr": CONTROL}, {"group": {}}, {"group_index": "x"}, {"lang": 1}),
    *({"stamps": 1}, {"stamps": [1]}, {"stamped_headers": 1}, {"replaced_task_nesting": "x"}),
]


def wire(task: str, body: Any, *, content_type: str = "application/json", **headers: Any) -> str:
    """Return a message as it stands in a queue of Redis. A text is a body as it is."""
    given = {
        **{"lang": "py", "task": task, "id": str(uuid.uuid4()), "eta": None, "expires": None, "retries": 0},
        **{"timelimit": [None, None], "root_id": "root", "parent_id": None, "argsrepr": "()", "kwargsrepr": "{}"},
        **headers,
    }
    properties = {
        "correlation_id": "forged",
        "reply_to": "forged",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "celery"},
        "priority": 0,
        "delivery_tag": str(uuid.uuid4()),
    }
    return json.dumps(
        {
            "body": body if isinstance(body, str) else json.dumps(body),
            "content-encoding": "utf-8",
            "content-type": content_type,
            "headers": {name: value for name, value in given.items() if value != "missing"},
            "properties": properties,
        }
    )


def forged() -> list[str]:
    """Return forged messages: every body for a step task, some for the sweep, every header, other contents."""
    body = [KEY, {}, EMBED]
    return [
        *(wire(STEP_TASK, each) for each in [*BODIES[1:], *RAW_BODIES]),
        *(wire(SWEEP_TASK, each) for each in [1, [], [[1], {}, EMBED], [[], {"a": 1}, EMBED], [KEY, {}, EMBED], DEEP]),
        *(wire(STEP_TASK, body, **headers) for headers in HEADERS),
        *(wire(SWEEP_TASK, [[], {}, EMBED], **headers) for headers in HEADERS),
        *(wire(STEP_TASK, body, content_type=type) for type in ("application/x-python-serialize", "text/plain", "x")),
        wire(STEP_TASK, body, id="missing"),
    ]
