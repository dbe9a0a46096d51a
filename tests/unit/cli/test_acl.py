"""`pollflow acl` without a server: what it prints, and what it refuses."""

from __future__ import annotations

from hashlib import sha256

import pytest
from celery import Celery
from kombu import Exchange, Queue
from typer.testing import CliRunner

from pollflow import attach
from pollflow.cli.app import app
from pollflow.runtime.acl import rights_of
from pollflow.store.acl import Role

runner = CliRunner()
STATE = "redis://state.example.com/0"


def words_of(*options: str, input: str = "") -> list[str]:
    result = runner.invoke(app, ["acl", *options], input=input)
    assert result.exit_code == 0, result.output
    return result.stdout.split()


def test_a_password_of_standard_input_is_printed_as_its_digest() -> None:
    words = words_of("worker", "--key-prefix", "orders", "--password-stdin", input="pässword\n")
    assert words[:6] == [
        "ACL",
        "SETUSER",
        "orders-worker",
        "reset",
        "on",
        f"#{sha256('pässword'.encode()).hexdigest()}",
    ]


def test_prefix_queues_and_user_are_those_of_the_options() -> None:
    words = words_of("worker", "--key-prefix", "orders", "-Q", "steps", "-Q", "other", "--user", "one")
    assert {"one", "~orders:{*", "~steps", "~other", "%R~orders:flow:*"} <= set(words)
    assert "~pollflow:{*" not in words
    assert "+waitaof" not in words
    assert {"+waitaof", "%W~orders:mark"} <= set(words_of("client", "--key-prefix", "orders", "--durable"))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["admin", "--key-prefix", "a"], "one of worker, client, observer, flower"),
        (["worker", "--queue", "a"], "--queue needs --key-prefix"),
        (["worker", "--key-prefix", "a", "--user", "a b"], "cannot be 'a b'"),
        (["worker", "--key-prefix", "a", "--server", "x:1"], "uses no server x:1; it uses 127.0.0.1:6379"),
        (["worker", "--key-prefix", "a", "--password-stdin"], "standard input has no password"),
        (["worker", "--key-prefix", "*"], "key prefix"),
    ],
)
def test_what_cannot_be_a_user_is_refused(options: list[str], error: str) -> None:
    result = runner.invoke(app, ["acl", *options], terminal_width=300)
    assert result.exit_code == 2
    assert error in result.output


def test_state_broker_and_results_on_several_servers_have_a_rule_each() -> None:
    celery = Celery("a", broker="redis://broker.example.com/2", backend="redis://results.example.com:7000/1")
    celery.conf.broker_transport_options = {"global_keyprefix": "g:", "unacked_key": "open", "fanout_patterns": False}
    celery.conf.task_queues = [Queue("celery"), Queue("all", Exchange("all", type="fanout"))]
    attached = attach(celery, STATE)
    worker = {each.server: each for each in rights_of(Role.WORKER, attached, is_durable=False)}
    assert {server: each.uses for server, each in worker.items()} == {
        "state.example.com:6379": ("state",),
        "broker.example.com:6379": ("broker",),
        "results.example.com:7000": ("results",),
    }
    broker = worker["broker.example.com:6379"].rights
    assert {"g:celery", "g:open", "g:unacked_index", "g:_kombu.binding*"} <= set(broker.keys)
    assert broker.channels == {"g:/2.celery.pidbox", "g:/2.celeryev", "g:/2.all"}
    assert "celery-task-meta-*" in worker["results.example.com:7000"].rights.keys
    assert not [key for key in worker["state.example.com:6379"].rights.keys if "celery" in key]
    assert [each.uses for each in rights_of(Role.OBSERVER, attached, is_durable=False)] == [("state",)]
    assert [each.uses for each in rights_of(Role.FLOWER, attached, is_durable=False)] == [("broker",)]
    client = rights_of(Role.CLIENT, attached, is_durable=False)
    assert [each.uses for each in client] == [("state",), ("broker",)]
    assert client[1].rights.keys["g:celery"] == "W"


def test_two_databases_of_one_server_have_one_rule() -> None:
    attached = attach(Celery("a", broker="redis://localhost/1"), "redis://127.0.0.1/0")
    (rule,) = rights_of(Role.WORKER, attached, is_durable=False)
    assert rule.uses == ("state", "broker")


def test_a_broker_that_is_no_redis_has_no_rule() -> None:
    attached = attach(Celery("a", broker="amqp://broker.example.com"), STATE)
    assert [each.uses for each in rights_of(Role.WORKER, attached, is_durable=False)] == [("state",)]
