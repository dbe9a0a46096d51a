"""Forged task tokens and step messages: documented errors or none, and nothing is changed."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pollflow import Client, InvalidArgument, InvalidTaskToken
from pollflow.runtime import messages
from pollflow.runtime.handled import HandledAs
from pollflow.store import ExecutionKey, ExecutionRef, MessageKey
from tests.contract.conftest import Bench
from tests.contract.sub_flows import ask
from tests.flows import CALLBACK

many = settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
odd_texts = st.text(max_size=8) | st.sampled_from(
    [
        "",
        "#",
        "\x00",
        "\x1b[31m",
        "\ud800",
        "x" * 1_000_000,
        "flow",
        "x",
        "flow/x",
        "r",
        "{x}",
        "*",
        "\u0661",
        "1" * 5000,
    ]
)
odd_values = odd_texts | st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.lists(st.text())


def contents(bench: Bench) -> dict[str, Any]:
    """Return all of Redis, with times to live."""
    return {key: (bench.redis.dump(key), bench.redis.ttl(key)) for key in bench.redis.scan_iter()}


def encoded(fields: list[str]) -> str:
    return base64.urlsafe_b64encode("#".join(fields).encode("utf-8", "surrogatepass")).decode()


@pytest.fixture
def report(server: Bench, store_url: str) -> Any:
    """Yield a bench with a waiting task, its token, and a function that reports a token in both ways."""
    _, token = ask(server)
    with Client(store_url) as client:

        def report(value: Any) -> None:
            for call in (client.report_succeeded, lambda value: client.report_failed(value, "Error", "cause")):
                with pytest.raises((InvalidTaskToken, InvalidArgument)) as raised:
                    call(value)
                assert len(str(raised.value)) < 200

        yield server, token, report


@many
@given(value=odd_values)
def test_any_value_as_a_token_is_refused(report: tuple[Bench, str, Callable[[Any], None]], value: Any) -> None:
    bench, _, refuse = report
    before = contents(bench)
    refuse(value)
    assert contents(bench) == before


@many
@given(index=st.integers(0, 9), text=odd_texts | st.sampled_from(["2", "-1", "v2", "r.0.0", "y"]))
def test_a_token_with_a_forged_field_is_refused(
    report: tuple[Bench, str, Callable[[Any], None]], index: int, text: str
) -> None:
    bench, token, refuse = report
    fields = base64.urlsafe_b64decode(token).decode().split("#")
    if fields[index] == text:
        return
    before = contents(bench)
    refuse(encoded([*fields[:index], text, *fields[index + 1 :]]))
    assert contents(bench) == before


@many
@given(position=st.integers(0, 400), char=st.characters(max_codepoint=127))
def test_a_token_with_a_changed_character_is_refused_or_the_same(
    report: tuple[Bench, str, Callable[[Any], None]], position: int, char: str
) -> None:
    bench, token, refuse = report
    position %= len(token)
    changed = token[:position] + char + token[position + 1 :]
    if base64.urlsafe_b64decode(token) in _decodings(changed):
        return  # base64 ignores some characters
    before = contents(bench)
    refuse(changed)
    assert contents(bench) == before


def _decodings(token: str) -> list[bytes]:
    try:
        return [base64.urlsafe_b64decode(token)]
    except ValueError:
        return []


def test_a_token_of_another_execution_or_key_prefix_is_refused(server: Bench, store_url: str) -> None:
    _, token = ask(server)
    fields = base64.urlsafe_b64decode(token).decode().split("#")
    server.redis.delete("celery")
    server.start(CALLBACK, name="y")
    server.work()
    before = contents(server)
    with Client(store_url, key_prefix="other") as other, pytest.raises(InvalidTaskToken):
        other.report_succeeded(token)
    with Client(store_url) as client, pytest.raises(InvalidTaskToken):
        client.report_succeeded(encoded([*fields[:2], "y", *fields[3:]]))
    assert contents(server) == before


keys = st.tuples(
    st.sampled_from(["flow", "polling"]) | st.text(max_size=5),
    st.sampled_from(["x", "y"]) | st.text(max_size=5),
    st.sampled_from(["0" * 32, "id"]) | st.text(max_size=5),
    st.integers(-1, 5),
    st.sampled_from(["r", "r.1.0", "r.1", "*"]) | st.text(max_size=5),
    st.sampled_from(["token", "+"]) | st.text(max_size=5),
)


@many
@given(args=keys)
def test_a_forged_step_message_is_ignored(bench: Bench, args: tuple[Any, ...]) -> None:
    if not bench.redis.keys():
        ask(bench)
    before = contents(bench)
    try:
        key = messages.key_of(args)
    except InvalidArgument:
        return
    assert bench.container.engine.handle(key).kind is HandledAs.IGNORED
    assert contents(bench) == before


def test_a_step_message_with_a_wrong_token_is_ignored(bench: Bench) -> None:
    ref, _ = ask(bench)
    key = bench.key(ref)
    before = contents(bench)
    for forged in (
        MessageKey(key, "r", "wrong"),
        MessageKey(ExecutionKey(ref, "wrong"), "r", "wrong"),
        MessageKey(ExecutionKey(ExecutionRef("flow", "missing"), key.id), "r", "wrong"),
    ):
        assert bench.container.engine.handle(forged).kind is HandledAs.IGNORED
    assert contents(bench) == before
