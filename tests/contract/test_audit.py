"""Who did what: the events of an execution say it, and the audit log outlives the execution."""

from __future__ import annotations

import json
import os
import pwd
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from typer.testing import CliRunner

import pollflow
from pollflow import AesGcmCodec, AuditEntry, Client, Execution
from pollflow.cli.app import app
from pollflow.client.rotation import rotations
from pollflow.store.audit import MAX_ENTRIES
from tests.contract.conftest import Bench
from tests.flows import CALLBACK, PASSES, WAIT

runner = CliRunner()


@pytest.fixture
def client(server: Bench, store_url: str) -> Iterator[Client]:
    with Client(store_url, by="alice") as client:
        yield client


def waiting(client: Client, name: str = "x", **who: Any) -> Execution:
    """Start an execution that waits."""
    client.deploy_text(WAIT, "flow")
    return client.start("flow", {"seconds": 1000}, name=name, **who)


def run(server: Bench) -> None:
    """Do what workers do. The client knows no queue before the first worker, so the sweep publishes its messages."""
    server.pass_time(10)
    server.sweep()
    server.work()


def who_did(execution: Execution) -> dict[str, str]:
    return {event.type: event.by for event in execution.history() if event.by}


def operations(client: Client) -> list[tuple[str, str, str]]:
    return [(entry.operation, entry.name, entry.by) for entry in client.audit()]


def test_events_say_who_started_and_stopped(client: Client) -> None:
    assert who_did(waiting(client).stop(by="bob")) == {"ExecutionStarted": "alice", "ExecutionStopped": "bob"}


def test_without_a_name_it_is_the_user_of_the_operating_system(server: Bench, store_url: str) -> None:
    with Client(store_url) as client:
        started = waiting(client)
    assert who_did(started) == {"ExecutionStarted": f"{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"}


@pytest.mark.parametrize("is_success", [True, False])
def test_events_say_who_reported(server: Bench, client: Client, is_success: bool) -> None:
    inputs = server.returns("ask", {})
    client.deploy_text(CALLBACK, "flow")
    execution = client.start("flow", name="x", by="starter")
    run(server)
    if is_success:
        client.report_succeeded(inputs[0]["token"], by="approver")
    else:
        client.report_failed(inputs[0]["token"], "Refused", by="approver")
    kind = "TaskSucceeded" if is_success else "TaskFailed"
    assert who_did(execution) == {"ExecutionStarted": "starter", kind: "approver"}


def test_what_pollflow_does_by_itself_names_nobody(server: Bench, client: Client) -> None:
    client.deploy_text(PASSES, "flow")
    execution = client.start("flow", name="x")
    run(server)
    assert execution.refresh().status == "Succeeded"
    assert who_did(execution) == {"ExecutionStarted": "alice"}
    assert operations(client) == [("deploy", "", "alice")]


def test_the_log_outlives_the_execution(server: Bench, client: Client) -> None:
    execution = waiting(client)
    execution.stop("NotNeeded", "secret cause", by="bob").purge(by="carol")
    purged, stopped, deployed = client.audit()
    assert deployed == AuditEntry("deploy", deployed.time, "alice", "flow", digest=client.flow("flow").digest)
    assert stopped == AuditEntry("stop", stopped.time, "bob", "flow", "x", execution.id, error="NotNeeded")
    assert purged == AuditEntry("purge", purged.time, "carol", "flow", "x", execution.id)
    assert deployed.time <= stopped.time <= purged.time


def test_a_refused_stop_or_purge_leaves_no_entry(client: Client) -> None:
    execution = waiting(client)
    with pytest.raises(Exception, match="stop it before you purge it"):
        execution.purge()
    execution.stop()
    with pytest.raises(Exception, match="already ended"):
        execution.stop()
    assert operations(client) == [("stop", "x", "alice"), ("deploy", "", "alice")]


def test_the_end_of_the_retention_leaves_no_entry(server: Bench, client: Client) -> None:
    waiting(client).stop()
    server.pass_time(31 * 86_400)
    server.sweep()
    assert client.executions() == []
    assert operations(client) == [("stop", "x", "alice"), ("deploy", "", "alice")]


def test_a_rotation_is_recorded_before_it_begins(server: Bench, client: Client, store_url: str) -> None:
    waiting(client)
    proj = Celery("proj", broker=store_url)
    proj.conf.pollflow_codec = AesGcmCodec({"new": b"n" * 32})
    pollflow.attach(proj)
    with Client(proj, by="dave") as owner:
        (counted,) = rotations(owner, is_dry=True)
        assert operations(client) == [("deploy", "", "alice")]
        next(rotations(owner, by="erin"))  # it is given up after the first execution
        list(rotations(owner))
    again, first, _ = client.audit()
    assert counted.rewritten["clear"] > 0
    assert first == AuditEntry("rotate", first.time, "erin", "", key_id="new")
    assert again == AuditEntry("rotate", again.time, "dave", "", key_id="new")
    printed = runner.invoke(app, ["audit", "--redis", store_url]).stdout.splitlines()
    assert printed[1].split()[2:] == ["rotate", "-", "dave", "key", "new"]
    (document, *_) = json.loads(runner.invoke(app, ["audit", "--json", "--redis", store_url]).stdout)
    assert {**document, "time": ""} == {"operation": "rotate", "time": "", "by": "dave", "key_id": "new"}


def test_a_rotation_without_a_codec_is_not_recorded(client: Client, store_url: str) -> None:
    assert runner.invoke(app, ["codec", "rotate", "--by", "x", "--redis", store_url]).exit_code == 2
    assert operations(client) == []


def test_a_printed_error_has_no_task_token(server: Bench, client: Client, store_url: str) -> None:
    inputs = server.returns("ask", {})
    client.deploy_text(CALLBACK, "flow")
    execution = client.start("flow", name="x")
    run(server)
    token = inputs[0]["token"]
    execution.stop(token[:128], by=token[:128])
    for words in (["audit"], ["audit", "--json"]):
        printed = runner.invoke(app, [*words, "--redis", store_url], env={"COLUMNS": "400"}).stdout
        assert (printed.count("***"), token[:30] in printed) == (2, False)
    assert client.audit()[0].by == token[:128]


def test_the_log_is_filtered_and_limited(client: Client) -> None:
    for flow in ("first", "second", "first"):
        client.deploy_text(WAIT, flow)
    assert [entry.flow for entry in client.audit(limit=2)] == ["first", "second"]
    assert [entry.flow for entry in client.audit(flow=["first"])] == ["first", "first"]


def test_more_entries_than_one_slice_are_read(server: Bench, client: Client) -> None:
    key = server.container.audit.keys.audit()
    for number in range(1001):
        server.redis.xadd(key, {"operation": "deploy", "at": str(number), "ref": f"f{number}", "by": "x"})
    server.redis.xadd(key, {"operation": "deploy"})  # damaged
    for at in ("nan", "inf", "-1", "1e300", "253402300800", "x"):
        server.redis.xadd(key, {"operation": "deploy", "at": at, "ref": "f", "by": "x"})
    found = client.audit(limit=10_000)
    assert [entry.flow for entry in found] == [f"f{number}" for number in reversed(range(1001))]


def test_the_log_is_bounded(server: Bench, client: Client) -> None:
    key = server.container.audit.keys.audit()
    pipe = server.redis.pipeline()
    for _ in range(MAX_ENTRIES + 500):
        pipe.xadd(key, {"operation": "deploy", "at": "0", "ref": "f", "by": "x"})
    pipe.execute()
    waiting(client).stop()
    assert server.redis.xlen(key) <= MAX_ENTRIES + 200  # Redis removes whole nodes of a hundred
    assert operations(client)[0] == ("stop", "x", "alice")


def test_the_command_prints_the_log(server: Bench, client: Client, store_url: str) -> None:
    waiting(client)
    assert runner.invoke(app, ["stop", "flow/x", "--by", "bob", "--error", "E", "--redis", store_url]).exit_code == 0
    assert runner.invoke(app, ["purge", "flow/x", "--by", "carol", "--redis", store_url]).exit_code == 0
    printed = runner.invoke(app, ["audit", "--redis", store_url]).stdout.splitlines()
    assert [line.split()[2:] for line in printed[1:]] == [
        ["purge", "flow/x", "carol"],
        ["stop", "flow/x", "bob", "E"],
        ["deploy", "flow", "alice", client.flow("flow").digest[:12]],
    ]
    documents = json.loads(runner.invoke(app, ["audit", "--json", "--limit", "1", "--redis", store_url]).stdout)
    assert [(each["operation"], each["by"], each["flow"], each["name"]) for each in documents] == [
        ("purge", "carol", "flow", "x")
    ]


def test_history_prints_who(server: Bench, client: Client, store_url: str) -> None:
    waiting(client)
    printed = runner.invoke(app, ["history", "flow/x", "--redis", store_url]).stdout.splitlines()
    assert printed[1].endswith("by alice")
    documents = json.loads(runner.invoke(app, ["history", "flow/x", "--json", "--redis", store_url]).stdout)
    assert [event.get("by") for event in documents][:2] == ["alice", None]


def test_an_empty_or_long_name_is_refused(client: Client, store_url: str) -> None:
    refused = runner.invoke(app, ["stop", "flow/x", "--by", "", "--redis", store_url])
    assert refused.exit_code == 2
    assert "--by" in refused.stderr
