"""Commands in projects that have had a Celery app before: they use its Redis, and isolated ones leave it alone."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis import Redis

from pollflow import Client
from tests.processes import Processes, Started, wait_until
from tests.servers import RedisServer
from tests.workers import Workers

pytestmark = [pytest.mark.process, pytest.mark.slow]

TASKS = """
import os
import pollflow

@pollflow.function("shop/Pay")
def pay(input, context):
    place = "isolated" if "POLLFLOW_ISOLATED" in os.environ else "production"
    with open(os.environ["CALLS"], "a") as calls:
        calls.write(f"{place} {context.execution_name}\\n")
    return {"paid": True}
"""
FLOW = """version: v1
type: flow
steps:
  - {type: task, name: Pay, resourceArn: "acs:fc:::services/shop/functions/Pay"}
  - {type: wait, name: Wait, duration: 0.1}
  - {type: succeed, name: Done}
"""
MAKE = 'from celery import Celery\nimport pollflow\napp = Celery("shop", include=["{tasks}"]{broker})\n'


@dataclass(frozen=True)
class Layout:
    """The files of a project, the environment of its processes, and how commands name its app."""

    celery_app: str
    files: Mapping[str, str]
    env: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    key_prefix: str = "pollflow"
    queue: str = "celery"


def package_with_broker_in_code(url: str) -> Layout:
    code = MAKE.format(tasks="proj.tasks", broker=f", broker={url!r}") + "pollflow.attach(app)\n"
    pyproject = '[tool.pollflow]\napp = "proj.celery:app"\n'
    files = {"proj/__init__.py": "", "proj/celery.py": code, "proj/tasks.py": TASKS, "pyproject.toml": pyproject}
    return Layout("proj.celery:app", files)


def django_with_a_namespace(url: str) -> Layout:
    code = MAKE.format(tasks="shop.tasks", broker="")
    code += 'app.config_from_object("config.settings", namespace="CELERY")\npollflow.attach(app)\n'
    files = {
        "config/__init__.py": "from .celery import app as celery_app\n",
        "config/celery.py": code,
        "config/settings.py": f"CELERY_BROKER_URL = CELERY_BROKER_READ_URL = CELERY_RESULT_BACKEND = {url!r}\n",
        "shop/__init__.py": "",
        "shop/tasks.py": TASKS,
    }
    return Layout("config", files, options=("-A", "config"))


def package_with_broker_in_the_environment(url: str) -> Layout:
    code = MAKE.format(tasks="proj.tasks", broker="") + f"pollflow.attach(app, {url!r})\n"
    files = {"proj/__init__.py": "", "proj/celery.py": code, "proj/tasks.py": TASKS}
    return Layout("proj", files, {"CELERY_BROKER_URL": url, "POLLFLOW_APP": "proj"})


def module_with_a_config_module(url: str) -> Layout:
    code = MAKE.format(tasks="jobs", broker="") + 'app.config_from_object("celeryconfig")\npollflow.attach(app)\n'
    code += f"app.conf.broker_read_url = {url!r}\n"  # after attach
    config = f'broker_url = {url!r}\npollflow_redis_url = {url!r}\npollflow_key_prefix = "shop"\n'
    config += 'task_routes = {"pollflow.*": {"queue": "flows"}}\n'
    return Layout(
        "worker", {"worker.py": code, "jobs.py": TASKS, "celeryconfig.py": config}, key_prefix="shop", queue="flows"
    )


class Project:
    """An existing project with a production worker, and commands that run in it."""

    def __init__(self, folder: Path, layout: Layout, server: RedisServer) -> None:
        self.folder, self.layout, self.url = folder, layout, server.url
        for path, text in layout.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        (folder / "order.yaml").write_text(FLOW)
        self.processes = Processes(folder)
        self.processes.env = {"CALLS": str(folder / "calls"), "POLLFLOW_REDIS_URL": "", **layout.env}
        self.client = Client(server.url, key_prefix=layout.key_prefix)
        self.worker = Workers(self.processes, folder).start(app=layout.celery_app)

    def command(self, *words: str, **env: str) -> Started:
        command = [sys.executable, "-m", "pollflow.cli", words[0], *self.layout.options, *words[1:]]
        return self.processes.start("pollflow", command, cwd=self.folder, env=env)

    def run(self, *words: str, status: int = 0, **env: str) -> str:
        """Run a command, check its exit status, and return its output."""
        started = self.command(*words, **env)
        assert started.process.wait(120) == status, started.output()
        return started.output()

    def start(self, names: Sequence[str]) -> None:
        for name in names:
            self.client.start("order", name=name)

    def list(self, *options: str) -> dict[str, str]:
        """Return the status of each execution by its name."""
        return {found["name"]: found["status"] for found in json.loads(self.run("list", "--json", *options))}

    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def snapshot(self) -> dict[bytes, bytes]:
        """Return all keys of the production server that do not expire, except those of isolated runs."""
        with Redis.from_url(self.url) as client:
            keys = [key for key in client.scan_iter() if client.ttl(key) == -1 and not key.startswith(b"run-")]
            return {key: client.dump(key) or b"" for key in keys}


@pytest.fixture(
    params=[
        package_with_broker_in_code,
        django_with_a_namespace,
        package_with_broker_in_the_environment,
        module_with_a_config_module,
    ],
    ids=lambda layout: layout.__name__,
    scope="module",
)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("existing")
    server = RedisServer(folder / "production-redis")
    project = Project(folder / "project", request.param(server.url), server)
    yield project
    project.client.close()
    project.processes.end_all()
    server.stop()


def test_commands_use_the_redis_and_the_workers_of_the_app(project: Project) -> None:
    project.run("deploy", "order.yaml")
    assert json.loads(project.run("flows", "--json"))[0]["name"] == "order"
    assert "Succeeded after" in project.run("start", "order", "--name", "one", "--follow")
    assert project.calls()[-1:] == ["production one"]
    assert project.list()["one"] == "Succeeded"
    assert "Succeeded" in project.run("show", "order/one")
    assert "ExecutionSucceeded" in project.run("history", "order/one")
    project.run("stop", "order/one", status=2)
    project.run("purge", "order/one")
    assert "one" not in project.list()
    shown = project.run("list", "-v")
    assert re.search(
        rf"^server: redis://127\.0\.0\.1:\d+/0 \(from the app\), key prefix \w+, app {project.layout.celery_app} ",
        shown,
        re.M,
    )
    assert not (project.folder / ".pollflow").exists()


def test_an_error_names_the_server_and_hides_the_password(project: Project) -> None:
    password = re.findall(r":([0-9a-f]{32})@", project.url)[0]
    output = project.run("show", "order/nope", status=2)
    assert 'execution "order/nope" does not exist' in output
    assert "\nserver: redis://127.0.0.1:" in output
    other = "redis://:hidden@127.0.0.1:1/3"
    for output in (
        project.run("list", "--redis", other, status=2),
        project.run("list", status=2, POLLFLOW_REDIS_URL=other),
    ):
        assert "redis://127.0.0.1:1/3" in output
        assert "hidden" not in output
        assert password not in output
        assert "Traceback" not in output


def test_an_isolated_worker_runs_isolated_executions_only(project: Project) -> None:
    project.run("deploy", "order.yaml")
    project.run("deploy", "order.yaml", "--isolated")
    # The worker of the app is suspended, so only the isolated worker could take its message, or change its keys.
    project.worker.signal_group(signal.SIGSTOP)
    project.start(["at-home"])
    before, calls = project.snapshot(), len(project.calls())
    worker = project.command("worker", "--isolated")
    worker.wait_for_output(" ready.")
    project.run("start", "order", "--name", "aside", "--isolated", "--wait")
    assert project.calls()[calls:] == ["isolated aside"]
    assert project.snapshot() == before
    project.worker.signal_group(signal.SIGCONT)
    project.client.execution("order", "at-home").wait(60)
    assert project.calls()[calls:] == ["isolated aside", "production at-home"]
    worker.signal_group(signal.SIGINT)
    assert worker.process.wait(30) == 0
    assert "Traceback" not in worker.output()


@pytest.mark.parametrize("where", ["embedded", "the server of the app"])
def test_a_run_leaves_the_messages_of_the_app_alone(project: Project, where: str) -> None:
    options = [] if where == "embedded" else ["--redis", project.url]
    project.run("deploy", "order.yaml")
    name = where.replace(" ", "-")
    # The worker is suspended. A message that it does not get stays in its queue, where any other worker can take it.
    project.worker.signal_group(signal.SIGSTOP)
    names = [f"{name}-{number}" for number in range(4)]
    project.start(names)
    before = project.snapshot()
    assert project.layout.queue.encode() in before
    calls = len(project.calls())
    output = project.run("run", "order.yaml", "--name", name, *options)
    assert "Succeeded after" in output
    assert project.calls()[calls:] == [f"isolated {name}"]
    assert project.snapshot() == before
    assert name not in project.list()
    isolated = project.list("--isolated", *options)
    assert isolated[name] == "Succeeded"
    assert set(names) & set(isolated) == set()
    project.worker.signal_group(signal.SIGCONT)
    for each in names:
        project.client.execution("order", each).wait(60)
    assert sorted(project.calls()[calls + 1 :]) == sorted(f"production {each}" for each in names)


def test_a_worker_of_the_app_consumes_the_queue_of_the_app(project: Project) -> None:
    project.run("deploy", "order.yaml")
    second = project.command("worker")
    second.wait_for_output(" ready.")
    assert "server: redis://127.0.0.1:" in second.output()
    project.worker.signal_group(signal.SIGSTOP)
    calls = len(project.calls())
    names = [f"second-{number}" for number in range(3)]
    project.start(names)
    wait_until(lambda: len(project.calls()) >= calls + 2, "calls by the second worker")
    project.worker.signal_group(signal.SIGCONT)
    for name in names:
        project.client.execution("order", name).wait(60)
    second.signal_group(signal.SIGINT)
    assert second.process.wait(60) == 0
