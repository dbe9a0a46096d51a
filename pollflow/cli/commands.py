"""The list of commands: name, function, help group, first line of the help, example.

To add a command, write a function in a module of its own and add a line here. The first line of the function's
docstring repeats the summary. The function is imported when its command is used, so that `pollflow --help` and each
command import only what they need.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from pollflow.cli.selection import Uses

GET_STARTED = "Get started"
DEFINE = "Define and test flows"
RUN = "Run and inspect executions"
OPERATE = "Operate"
GROUPS = (GET_STARTED, DEFINE, RUN, OPERATE)


class Command(NamedTuple):
    """A command as the help lists it."""

    name: str
    target: str
    """`MODULE:FUNCTION`, below `pollflow.cli`."""
    group: str
    summary: str
    example: str
    uses: Uses = Uses.SERVER

    def function(self) -> Callable[..., None]:
        """Import and return the function of the command."""
        module, _, name = self.target.partition(":")
        function: Callable[..., Any] = getattr(import_module(f"pollflow.cli.{module}"), name)
        return function


COMMANDS = (
    Command(
        "demo",
        "demo:demo",
        GET_STARTED,
        "Kill a worker in the middle of a wait and watch the execution recover.",
        "pollflow demo",
        Uses.FILES,
    ),
    Command("init", "init:init", GET_STARTED, "Write a new project.", "pollflow init my-project", Uses.FILES),
    Command(
        "lint", "lint:lint", DEFINE, "Check flow files without running them.", "pollflow lint flows", Uses.ASKED_APP
    ),
    Command("test", "testing:test", DEFINE, "Run flow tests in virtual time.", "pollflow test flows", Uses.FILES),
    Command(
        "simulate",
        "testing:simulate",
        DEFINE,
        "Run a flow once in virtual time and draw the run.",
        """pollflow simulate flows/task_polling.yaml --input '{"delay": 20}'""",
        Uses.ASKED_APP,
    ),
    Command(
        "schema",
        "testing:schema",
        DEFINE,
        "Print the JSON Schema of flow files, for editors.",
        "pollflow schema > fdl.schema.json",
        Uses.FILES,
    ),
    Command(
        "run",
        "run:run",
        RUN,
        "Run a flow from its file and watch it to its end.",
        """pollflow run flows/task_polling.yaml --input '{"delay": 20}'""",
        Uses.ISOLATED_SERVER,
    ),
    Command(
        "start",
        "start:start",
        RUN,
        "Start an execution of a deployed flow.",
        """pollflow start task-polling --input '{"delay": 20}' --name nightly --wait""",
    ),
    Command(
        "list",
        "executions:list_",
        RUN,
        "List executions, the latest first.",
        "pollflow list --flow task-polling --status Failed",
    ),
    Command(
        "show",
        "executions:show",
        RUN,
        "Show the status, step, times, input and output of an execution.",
        "pollflow show task-polling/nightly",
    ),
    Command(
        "history",
        "executions:history",
        RUN,
        "Print the events of an execution.",
        "pollflow history task-polling/nightly",
    ),
    Command(
        "stop",
        "executions:stop",
        RUN,
        "Stop a running execution.",
        "pollflow stop task-polling/nightly --error NotNeeded --cause 'started by mistake'",
    ),
    Command("deploy", "flows:deploy", OPERATE, "Deploy flows.", "pollflow deploy flows/task_polling.yaml"),
    Command("flows", "flows:flows", OPERATE, "List the deployed flows.", "pollflow flows"),
    Command("worker", "worker:worker", OPERATE, "Run a worker until Ctrl-C.", "pollflow worker --concurrency 8"),
    Command(
        "audit",
        "audit:audit",
        OPERATE,
        "List deploys, stops, purges and rotations of keys, the latest first.",
        "pollflow audit --flow task-polling",
    ),
    Command(
        "purge",
        "executions:purge",
        OPERATE,
        "Delete an ended execution and its history.",
        "pollflow purge task-polling/nightly",
    ),
    Command(
        "acl",
        "acl:acl",
        OPERATE,
        "Print a Redis user with the least rights of a role.",
        "pollflow acl observer --password-stdin",
        Uses.APP,
    ),
    Command(
        "codec",
        "codec:codec",
        OPERATE,
        "Rewrite stored data with the current key of the codec.",
        "pollflow codec rotate --dry-run",
    ),
)
BY_NAME = {command.name: command for command in COMMANDS}
