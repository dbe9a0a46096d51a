from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from celery import Celery

from pollflow import InvalidArgument
from pollflow.machine import MessageMetadata
from pollflow.runtime import messages
from pollflow.store import ExecutionKey, ExecutionRef, Message, MessageKey

MESSAGE = Message(
    MessageKey(ExecutionKey(ExecutionRef("polling", "mine"), "0123"), "r", "SECRETTOKEN"),
    MessageMetadata("task", "Get status", attempt=2, entry=4, visit=3),
)


def encoded(message: Message, at: float = 1.5) -> dict[str, object]:
    wire = messages.encode(message, queue="steps", list_key="steps")
    decoded: dict[str, object] = json.loads(f"{wire.head}{at}{wire.tail}")
    return decoded


def test_a_message_has_every_header_that_celery_writes() -> None:
    app = Celery(broker="memory://")
    celery = app.amqp.as_task_v2(
        "id", "pollflow.task", args=["a"], kwargs={}, root_id="0123", argsrepr="x", kwargsrepr="{}", ignore_result=True
    )
    headers = encoded(MESSAGE)["headers"]
    assert isinstance(headers, dict)
    assert set(celery.headers) - set(headers) == set()
    assert set(headers) - set(celery.headers) == {messages.SENT_AT, messages.CALLBACK}


def test_a_message_names_flow_execution_step_visit_and_attempt_but_no_token() -> None:
    headers = encoded(MESSAGE)["headers"]
    assert isinstance(headers, dict)
    assert headers["task"] == "pollflow.task"
    assert headers["shadow"] == "pollflow.task polling/Get status"
    assert headers["argsrepr"] == "('polling', 'mine', 'Get status', 'visit 3', 'attempt 2')"
    assert headers["root_id"] == "0123"
    assert (headers["id"], headers["parent_id"]) == ("0123-r.4-2", "0123-r.4")
    assert "SECRETTOKEN" not in json.dumps(headers)


@pytest.mark.parametrize(
    ("frame", "entry", "attempt", "parent"),
    [
        ("r", 1, 1, None),
        ("r", 5, 1, "0123-r.4"),
        ("r", 5, 3, "0123-r.5-2"),
        ("r.4.7", 1, 1, "0123-r.4"),
        ("r.4.7", 2, 1, "0123-r.4.7.1"),
    ],
)
def test_the_parent_of_a_message_is_the_step_before(frame: str, entry: int, attempt: int, parent: str | None) -> None:
    message = Message(
        MessageKey(ExecutionKey(ExecutionRef("f", "x"), "0123"), frame, "t"),
        MessageMetadata("task", "s", attempt, entry),
    )
    assert messages.parent_id(message) == parent


@pytest.mark.parametrize("delivery", ["2", "child-7", "made-25"])
def test_a_later_message_of_an_attempt_has_its_own_id_below_the_first_one(delivery: str) -> None:
    later = replace(MESSAGE, delivery=delivery)
    assert (messages.task_id(later), messages.parent_id(later)) == (f"0123-r.4-2~{delivery}", "0123-r.4-2")


def test_every_message_has_its_own_delivery_tag() -> None:
    tags = {json.dumps(encoded(MESSAGE)["properties"]) for _ in range(100)}
    assert len(tags) == 100


def test_the_publication_time_is_read_from_a_queued_message() -> None:
    wire = messages.encode(MESSAGE, queue="q", list_key="q")
    assert messages.sent_at(f"{wire.head}1795518190.331195{wire.tail}") == 1795518190.331195


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"headers": {}}', '{"headers": null}', '{"headers": {"id": "x"}}'])
def test_a_message_of_another_app_has_no_publication_time(text: str) -> None:
    assert messages.sent_at(text) is None


def test_only_a_message_with_a_countdown_has_an_eta() -> None:
    later = Message(MESSAGE.key, MESSAGE.metadata, countdown=10)
    before = datetime.now(timezone.utc)
    eta = messages.eta_of(later)
    after = datetime.now(timezone.utc)
    assert eta is not None
    assert before + timedelta(seconds=10) <= eta <= after + timedelta(seconds=10.1)
    assert messages.eta_of(MESSAGE) is None


@pytest.mark.parametrize("args", [[], ["a"], ["a", "b", "c", 4], "abcd", None, {"a": 1}])
def test_an_invalid_message_key_is_refused(args: object) -> None:
    with pytest.raises(InvalidArgument):
        messages.key_of(args)


def test_a_message_key_round_trips() -> None:
    body = encoded(MESSAGE)["body"]
    assert isinstance(body, str)
    assert messages.key_of(json.loads(body)[0]) == MESSAGE.key
