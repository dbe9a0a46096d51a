"""A message of pollflow's tasks is as pollflow sends it, or forged: there is no third result."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from hypothesis import given, settings
from hypothesis import strategies as st
from kombu.message import Message

from pollflow import InvalidArgument
from pollflow.machine import MessageMetadata
from pollflow.runtime import incoming, messages
from pollflow.runtime.incoming import SWEEP_TASK, Forged, check
from pollflow.store import ExecutionKey, ExecutionRef, MessageKey
from pollflow.store import Message as StepMessage
from tests.hostile.messages import EMBED, KEY, STEP_TASK, forged, wire

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(KEY),
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(st.sampled_from([*EMBED, "args", "kwargs", "id"]), inner)
    ),
    max_leaves=12,
)
REAL = StepMessage(
    MessageKey(ExecutionKey(ExecutionRef("polling", "mine"), "0123"), "r.1.0", "to+ken"),
    MessageMetadata("task", "Zustand \u200d \u3000 \u202e prüfen", attempt=2, entry=4, visit=3),
    countdown=5,
)


def received(text: str) -> Message:
    """Return the message as kombu's Redis transport makes it."""
    raw = json.loads(text)
    return Message(
        body=raw["body"],
        content_type=raw["content-type"],
        content_encoding=raw["content-encoding"],
        headers=raw["headers"],
        properties=raw["properties"],
        accept={"application/json"},
    )


def is_forged(name: str, text: str) -> bool:
    try:
        check(name, received(text), None)
    except Forged as error:
        assert len(str(error)) < 100
        return True
    return False


@pytest.mark.parametrize("text", forged())
def test_a_forged_message_is_recognized(text: str) -> None:
    assert is_forged(json.loads(text)["headers"]["task"], text)


@settings(max_examples=300)
@given(body=JSON, headers=st.dictionaries(st.sampled_from(["id", "eta", "expires", "timelimit", "shadow"]), JSON))
def test_any_json_is_a_message_of_pollflow_or_forged(body: Any, headers: dict[str, Any]) -> None:
    if not is_forged(STEP_TASK, wire(STEP_TASK, body, **headers)):
        messages.key_of(body[0])
    is_forged(SWEEP_TASK, wire(SWEEP_TASK, body, **headers))
    check_protocol_1(body)


def check_protocol_1(body: Any) -> None:
    try:
        check(STEP_TASK, received(wire(STEP_TASK, "")), body)
    except Forged:
        return
    messages.key_of(body["args"])


@settings(max_examples=300)
@given(JSON)
def test_only_the_arguments_of_a_step_are_a_key(args: Any) -> None:
    try:
        key = messages.key_of(args)
    except InvalidArgument as error:
        assert str(error) == "a step task takes flow, execution, id, incarnation, frame and token"
    else:
        assert isinstance(key, MessageKey)


def test_messages_of_scripts_pass() -> None:
    encoded = messages.encode(REAL, queue="steps", list_key="steps")
    check(STEP_TASK, received(f"{encoded.head}1.5{encoded.tail}"), None)


@pytest.mark.parametrize("protocol", [1, 2])
def test_messages_that_celery_sends_pass(protocol: int) -> None:
    app = Celery(broker="memory://", task_protocol=protocol)
    later = datetime.now(timezone.utc) + timedelta(seconds=5)
    for name, args in ((STEP_TASK, messages.args_of(REAL)), (SWEEP_TASK, ())):
        sent = app.amqp.task_protocols[protocol](
            "id", name, args=args, kwargs={}, eta=later, expires=5, shadow=messages.shown_name(REAL)
        )
        body = json.loads(json.dumps(sent.body, default=str))
        headers = {header: value for header, value in sent.headers.items() if header != "task"}
        message = received(wire(name, body, **headers))
        check(name, message, body if protocol == 1 else None)


def test_a_forged_message_is_acknowledged_and_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    app, handled, acknowledged = Celery(broker="memory://"), list[Any](), list[Any]()
    consumer = SimpleNamespace(connection_errors=(OSError,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(incoming, "celery_strategy", lambda *_: lambda *args: handled.append(args))
        handler = incoming.checked(SimpleNamespace(name=STEP_TASK), app, consumer)
    with caplog.at_level(logging.DEBUG):
        handler(received(wire(STEP_TASK, [["\x1b[31m"], {}, EMBED])), None, lambda *a: acknowledged.append(a), None, [])
        handler(received(wire(STEP_TASK, [KEY, {}, EMBED])), None, None, None, [])
    assert [(record.levelname, record.getMessage(), record.exc_info) for record in caplog.records] == [
        (
            "WARNING",
            "ignored a message of pollflow.task that pollflow does not send: a step task takes flow, execution, id, "
            "incarnation, frame and token",
            None,
        )
    ]
    assert acknowledged == [(incoming.logger, (OSError,))]
    assert len(handled) == 1
