"""Which Celery app a command uses, and the errors of an app that cannot be used."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pollflow.cli.exits import CommandError
from pollflow.cli.project_app import AppName, find_app_name, nearest_project
from pollflow.cli.server_text import shown_url

URL = "redis://:secret@127.0.0.1:1/0"
OTHER = "redis://:secret@127.0.0.1:1/9"
APP = f"import pollflow\nfrom celery import Celery\napp = Celery('a', broker={URL!r})\npollflow.attach(app)\n"
EXPLICIT = APP.replace("attach(app)", f"attach(app, {URL!r})")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POLLFLOW_APP", "POLLFLOW_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)


def write(folder: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def command(folder: Path, *words: str, **env: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pollflow.cli", *words],
        cwd=folder,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stdout
    assert "secret" not in done.stdout
    return done.returncode, done.stdout


def test_the_option_precedes_the_environment_pyproject_and_the_worker_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_app_name(None, tmp_path) is None
    (tmp_path / "worker.py").touch()
    assert find_app_name(None, tmp_path) == AppName("worker", "worker.py")
    (tmp_path / "pyproject.toml").write_text('[tool.pollflow]\napp = "proj.celery:app"\n')
    assert find_app_name(None, tmp_path) == AppName("proj.celery:app", "pyproject.toml")
    monkeypatch.setenv("POLLFLOW_APP", "other")
    assert find_app_name(None, tmp_path) == AppName("other", "POLLFLOW_APP")
    assert find_app_name("mine", tmp_path) == AppName("mine", "-A")


def test_a_project_is_a_folder_whose_pyproject_names_the_app(tmp_path: Path) -> None:
    inner = tmp_path / "src" / "deep"
    inner.mkdir(parents=True)
    (tmp_path / "src" / "pyproject.toml").write_text("[tool.ruff]\nline-length = 100\n")
    assert nearest_project(inner) == inner
    (tmp_path / "pyproject.toml").write_text('[tool.pollflow]\napp = "proj"\n')
    assert nearest_project(inner) == tmp_path


UNUSABLE = [
    "[tool.pollflow",
    "[tool]\npollflow = 1\n",
    "[tool.pollflow]\napp = 1\n",
    '[tool.pollflow]\napp = ""\n',
]


@pytest.mark.parametrize("text", UNUSABLE)
def test_a_pyproject_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(CommandError, match=r"pyproject\.toml"):
        find_app_name(None, tmp_path)


@pytest.mark.parametrize("name", ["proj", "proj.celery", "proj.celery:app"])
def test_an_app_is_named_as_for_celery_before_or_after_the_command(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"proj/__init__.py": "", "proj/celery.py": APP})
    server = f"server: redis://127.0.0.1:1/0 (from the app), key prefix pollflow, app {name} (from -A)\n"
    for words in (["-A", name, "list"], ["list", "--app", name]):
        status, output = command(tmp_path, *words)
        assert status == 2
        assert output.startswith("pollflow: Redis cannot serve: ")
        assert output.endswith(server)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "cannot be imported in"),
        ({"proj.py": "1 / 0\n"}, "ZeroDivisionError: division by zero"),
        ({"proj.py": "raise ValueError('no settings')\n"}, "ValueError: no settings"),
        ({"proj.py": "raise SystemExit('no settings')\n"}, "SystemExit: no settings"),
        ({"proj.py": "x = 5\n"}, "cannot be imported in"),
        ({"proj.py": "app = 5\n"}, "is of type int, not a Celery app"),
        ({"proj.py": APP.replace("pollflow.attach(app)", "")}, "call pollflow.attach(app) where the app is made"),
        ({"proj.py": APP.replace("broker=", "broker='amqp://user:secret@h', backend=")}, "set pollflow_redis_url"),
    ],
)
def test_an_app_that_cannot_be_used_is_named_with_the_remedy(
    tmp_path: Path, files: Mapping[str, str], message: str
) -> None:
    write(tmp_path, files)
    status, output = command(tmp_path, "list", "-A", "proj")
    assert status == 2
    assert "proj (from -A)" in output
    assert str(tmp_path) in output
    assert message in output


def test_attach_may_be_called_in_a_module_that_the_app_includes(tmp_path: Path) -> None:
    code = APP.replace("pollflow.attach(app)", "").replace("'a'", "'a', include=['later']")
    write(tmp_path, {"proj.py": code, "later.py": "import pollflow\nfrom proj import app\npollflow.attach(app)\n"})
    assert "(from the app), key prefix pollflow, app proj (from -A)" in command(tmp_path, "list", "-A", "proj")[1]


@pytest.mark.parametrize("words", [["list"], ["start", "f"], ["show", "f/a"], ["deploy", "f.yaml"], ["worker"]])
def test_two_different_redises_are_an_error_that_prints_both(tmp_path: Path, words: list[str]) -> None:
    write(tmp_path, {"worker.py": EXPLICIT, "f.yaml": "version: v1\ntype: flow\nsteps: [{type: succeed, name: A}]\n"})
    for options, env in ((["--redis", OTHER], {}), ([], {"POLLFLOW_REDIS_URL": OTHER})):
        status, output = command(tmp_path, *words, *options, **env)
        assert status == 2
        assert "  redis://127.0.0.1:1/0  by the app worker (from worker.py)\n" in output
        assert f"  redis://127.0.0.1:1/9  by {'--redis' if options else 'POLLFLOW_REDIS_URL'}\n" in output


def test_the_same_redis_twice_is_no_contradiction(tmp_path: Path) -> None:
    write(tmp_path, {"worker.py": EXPLICIT})
    for url in (URL, "redis://localhost:1", "redis://127.0.0.1:1"):
        assert "Redis cannot serve" in command(tmp_path, "list", "--redis", url)[1]


def test_a_worker_is_refused_that_would_take_the_messages_of_others(tmp_path: Path) -> None:
    write(tmp_path, {"worker.py": APP})
    status, output = command(tmp_path, "worker", "--redis", OTHER)
    assert status == 2
    assert "the broker of the app worker (from worker.py) is redis://127.0.0.1:1/0" in output


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://me:secret@host:7/3", "redis://host:7/3"),
        ("redis://:secret@host", "redis://host:6379/0"),
        ("rediss://host/1?password=secret", "rediss://host:6379/1"),
        ("unix://me:secret@/tmp/a.sock?db=2", "unix:///tmp/a.sock?db=2"),
        ("amqp://me:secret@host", "amqp://…"),
    ],
)
def test_a_server_is_shown_without_its_password(url: str, shown: str) -> None:
    assert shown_url(url) == shown
