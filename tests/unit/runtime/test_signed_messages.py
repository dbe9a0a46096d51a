"""`setup_security()` of Celery is refused by `attach`, and by the worker if it is called later."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
from celery import Celery

from pollflow import ConfigurationError
from pollflow.runtime.app import attach

REDIS = "redis://127.0.0.1:1/0"
# setup_security() changes the serializers of its whole process.
SCRIPT = """
import json, sys
from celery import Celery
from pollflow import ConfigurationError, attach
signed = dict(task_serializer="auth", accept_content=["auth"], security_key="key.pem", security_certificate="cert.pem",
              security_cert_store="cert.pem", security_digest="sha256")

def error_of(call, *args, **options):
    try:
        call(*args, **options)
    except ConfigurationError as error:
        return str(error)

before, after = Celery("before", broker=sys.argv[1]), Celery("after", broker=sys.argv[1])
attach(after)
for app in (before, after):
    app.conf.update(signed)
    app.setup_security()
print(json.dumps([error_of(attach, before), error_of(after.WorkController, pool="solo")]))
"""


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    made = trustme.CA().issue_cert("worker.example", key_type=trustme.KeyType.RSA)
    made.private_key_pem.write_to_path(tmp_path / "key.pem")
    made.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    return tmp_path


def test_setup_security_is_refused_before_and_after_attach(certificate: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, REDIS]
    run = subprocess.run(command, cwd=certificate, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    expected = (
        "signed messages (task_serializer, accept_content: 'auth', as setup_security() sets them) cannot carry steps: "
        "scripts in Redis publish the messages of steps and cannot sign them; leave out setup_security(), use 'json', "
        "and protect the broker by Redis ACL users and TLS (docs/security.md)"
    )
    assert json.loads(run.stdout) == [expected, expected]


@pytest.mark.parametrize(
    "conf",
    [
        {"task_serializer": "auth"},
        {"event_serializer": "auth"},
        {"result_serializer": "auth"},
        {"accept_content": ["auth"]},
        {"accept_content": ["json", "auth"]},
        {"accept_content": {"auth"}},
    ],
    ids=str,
)
def test_each_setting_for_signed_messages_is_refused(conf: dict[str, Any]) -> None:
    app = Celery("app", broker=REDIS)
    app.conf.update(conf)
    with pytest.raises(ConfigurationError, match=next(iter(conf))):
        attach(app)
