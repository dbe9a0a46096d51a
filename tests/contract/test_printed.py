"""What commands print of data: no control or invisible character, no secret, no password of a URL, no task token.

Every text that a user, a function or an API chooses has the characters and the secrets, and every command prints them.
"""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from pollflow import Client, Context
from pollflow.cli.commands import COMMANDS
from pollflow.printable import clean
from tests.contract.conftest import Bench

HIDDEN = (
    "\x00\x07\x08\r\x0b\x0c\x1b\x1c\x7f\x80\x85\x90\x9b\x9d\x9f\xad\u061c\u200b\u200d\u200e\u200f\u2028\u2029\u202a"
    "\u202e\u2066\u2069\ufeff\u3164\ufff9\ud83d\U000e0001\U000e0041"
)
TEXT = "x" + HIDDEN + "\x1b[2J\x1b]8;;http://evil\x07 [bold red]b[/] :smile: [link=http://evil]l[/link]"
STEP = "x\xad\u061c\u200b\u202e\u2066\u3164\ufff9\U000e0001 [bold red]b[/] :smile: [link=http://evil]l[/link]"
"""A step name cannot contain control characters."""
YAML_STEP, YAML_TEXT = (json.dumps(each)[1:-1] for each in (STEP, TEXT.replace("\ud83d", "\x85")))
SECRET = "canary-secret"
URL_PASSWORD = "canary-url"
FLOW = f"""
version: v1
type: flow
steps:
- type: task
  name: "{YAML_STEP}"
  resourceArn: "acs:fc:::services/s/functions/call"
  pattern: waitForCallback
  inputMappings: [{{target: callback, source: $context.task.token}}, {{target: password, source: $.password}}]
"""
FAILING = FLOW.replace("  pattern: waitForCallback\n", "").replace("$context.task.token", "$.password")
BAD = f'version: v1\ntype: flow\nsteps:\n- {{type: "{YAML_TEXT}", name: "{YAML_TEXT}", resourceArn: 1}}\n'
COPY = "outputMappings: [{target: password, source: $input.password}]"
SIMPLE = f'{{version: v1, type: flow, steps: [{{type: pass, name: "{YAML_STEP}", {COPY}}}]}}'
FLOW_TEST = f"""
definition: {SIMPLE}
cases:
- name: "{YAML_TEXT}"
  input: {{a: "{YAML_TEXT}", password: {SECRET}, copy: "of {SECRET}"}}
  expect: {{output: {{a: "other", password: "not {SECRET}"}}}}
"""
INPUT = {
    TEXT: [TEXT],
    "password": SECRET,
    "nested": {"X-Api-Key": SECRET, "copy": f"Bearer {SECRET}"},
    "pin": "4711",
    "url": f"redis://u:{URL_PASSWORD}@h/0?password={URL_PASSWORD}",
}
DATA = {
    "list": ["list"],
    "list json": ["list", "--json"],
    "show": ["show", "flow/running"],
    "show json": ["show", "flow/running", "--json"],
    "show failed": ["show", "failing/failed", "--traceback"],
    "show failed json": ["show", "failing/failed", "--json"],
    "history": ["history", "flow/running"],
    "history json": ["history", "flow/running", "--json"],
    "history failed": ["history", "failing/failed", "--all", "--full"],
    "history failed json": ["history", "failing/failed", "--json"],
    "audit": ["audit"],
    "audit json": ["audit", "--json"],
    "start": ["start", "flow", "--input", "@input.json", "--name", "running"],
    "start json": ["start", "flow", "--input", "@input.json", "--name", "started", "--json"],
    "stop json": ["stop", "flow/started", "--error", SECRET, "--cause", f"by {SECRET}", "--json"],
}
OTHERS = {
    "acl": ["acl", "worker", "--key-prefix", "a\x1b[2J\u202e"],
    "codec": ["codec", "rotate"],
    "flows": ["flows"],
    "flows json": ["flows", "--json"],
    "deploy bad": ["deploy", "bad\x1b[2J\u202e.yaml"],
    "lint": ["lint", "bad\x1b[2J\u202e.yaml"],
    "lint github": ["lint", "bad\x1b[2J\u202e.yaml", "--format", "github"],
    "lint sarif json": ["lint", "bad\x1b[2J\u202e.yaml", "--format", "sarif"],
    "lint json": ["lint", "bad\x1b[2J\u202e.yaml", "--json"],
    "test": ["test", "a.flowtest.yaml", "--junit", "junit.xml"],
    "simulate": ["simulate", "simple.yaml", "--input", "@input.json"],
    "simulate asks": ["simulate", "flow.yaml", "--input", "@input.json"],
    "run bad": ["run", "no\x1b[2J\u202e.yaml"],
    "no such flow": ["start", "a\x1b[2J\u202e"],
    "no such execution": ["show", "flow/a\x1b[2J\u202e"],
    "no such option": ["list", "--a\x1b[2J\u202e"],
    "no such server": ["list", "-v", "--redis", f"redis://u:{URL_PASSWORD}@127.0.0.1:1/0"],
    "bad server": ["list", "--redis", f"redis://u:{URL_PASSWORD}@[\x1b[2J/0?password={URL_PASSWORD}"],
    "wrong password": ["list", "-v", "--redis", "WRONG"],
    "init": ["init", "new\x1b[2J\u202e"],
    "purge": ["purge", "flow/a\x1b[2J\u202e"],
}
AUDITS = {"audit", "audit json"}
"""They have no option --unmask."""
WITHOUT_DATA = {"demo", "schema", "worker"}
USES_SERVER = {"list", "audit", "codec", "show", "history", "start", "stop", "flows", "purge", "deploy"}
DRIVER = """
import json, sys
from pollflow.cli.app import main
for name, words in json.load(open("commands.json")).items():
    sys.argv = ["pollflow", *words]
    try:
        main()
    except SystemExit:
        pass
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        stream.buffer.write(f"\\n=== {name}\\n".encode())
        stream.buffer.flush()
"""
STYLE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def folder(store_url: str, tmp_path: Path) -> Iterator[Path]:
    with Redis.from_url(store_url, decode_responses=True) as redis:
        bench = Bench(redis)

        def call(input: dict[str, Any], context: Context) -> Any:
            if context.flow_name == "failing":
                raise ValueError(f"{TEXT}: {input['password']} is wrong; redis://u:{URL_PASSWORD}@h")
            return {}

        bench.functions.register("call", call)
        with Client(store_url) as client:
            client.deploy_text(FLOW, "flow", description=clean(TEXT))
            client.deploy_text(FAILING, "failing")
        for flow, name in (("flow", "running"), ("failing", "failed")):
            bench.container.starter.start(flow, INPUT, name)
            bench.work()
        yield written(tmp_path, store_url)


def written(folder: Path, url: str) -> Path:
    """Write the files that the commands read."""
    files = {"flow.yaml": FLOW, "simple.yaml": SIMPLE, "bad\x1b[2J\u202e.yaml": BAD, "a.flowtest.yaml": FLOW_TEST}
    files["input.json"] = json.dumps(INPUT)
    commands = {}
    for name, words in {**DATA, **OTHERS}.items():
        words = [url.replace("://", f"://:{URL_PASSWORD}@") if word == "WRONG" else word for word in words]
        uses_url = words[0] in USES_SERVER and "--redis" not in words
        commands[name] = [*words, "--redis", url] if uses_url else words
    files["commands.json"] = json.dumps(commands)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    return folder


def printed(folder: Path, *options: str, is_terminal: bool) -> dict[str, str]:
    """Run all commands, and return what each has printed on both streams, and `name err` what it has on one."""
    if options:
        commands = json.loads((folder / "commands.json").read_text())
        commands = {name: [*words, *options] for name, words in commands.items() if name in set(DATA) - AUDITS}
        (folder / "commands.json").write_text(json.dumps(commands))
    env = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(Path(__file__).parents[2])}
    env |= {"FORCE_COLOR": "1", "COLUMNS": "200", "TERM": "xterm"} if is_terminal else {}
    command = [sys.executable, "-c", DRIVER]
    if not is_terminal:
        run = subprocess.run(command, cwd=folder, env=env, capture_output=True, stdin=subprocess.DEVNULL, check=False)
        return parts_of(run.stdout) | {f"{name} err": text for name, text in parts_of(run.stderr).items()}
    return parts_of(at_terminal(command, folder, env))


def at_terminal(command: list[str], folder: Path, env: dict[str, str]) -> bytes:
    """Run a command at a terminal of its own, and return what it shows."""
    near, far = pty.openpty()
    with subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=far, stderr=far) as process:
        os.close(far)
        output = b""
        while True:
            try:
                read = os.read(near, 65536)
            except OSError:  # the other end is closed
                break
            if not read:
                break
            output += read
        process.wait()
    os.close(near)
    return output.replace(b"\r\n", b"\n")


def parts_of(output: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in re.finditer(r"(.*?)\n=== ([^\n]*)\n", output.decode("utf-8"), re.S):
        found[part[2]] = found.get(part[2], "") + part[1]
    return found


@pytest.mark.parametrize("is_terminal", [False, True], ids=["piped", "terminal"])
def test_no_command_prints_hidden_characters_or_secrets(folder: Path, *, is_terminal: bool) -> None:
    outputs = printed(folder, is_terminal=is_terminal)
    assert {words[0] for words in {**DATA, **OTHERS}.values()} | WITHOUT_DATA >= {each.name for each in COMMANDS}
    for name in {**DATA, **OTHERS}:
        output = outputs[name] + outputs.get(f"{name} err", "")
        raw = {char for char in STYLE.sub("", output) if clean(char) != char and char != "\n"}
        assert (name, raw) == (name, set())
        assert (name, "Traceback (most recent call last)" in output) == (name, False)
        if name != "stop json":  # its texts are arguments, no data
            assert (name, SECRET in output) == (name, False)
        assert (name, URL_PASSWORD in output) == (name, False)
        assert (name, token_in(output)) == (name, None)
        if "json" in name and not is_terminal:
            json.loads(outputs[name])
    for name in ("show", "history", "test", "simulate"):
        assert "[bold red]b[/] :smile: [link=http://evil]l[/link]" in outputs[name], name
    for name in ("show", "history", "list json", "history failed", "simulate", "test"):
        assert "***" in outputs[name], name
    junit = (folder / "junit.xml").read_text()
    assert {char for char in junit if clean(char) != char and char != "\n"} == set()
    assert SECRET not in junit


def test_unmask_shows_secrets_but_neither_passwords_of_urls_nor_task_tokens(folder: Path) -> None:
    outputs = printed(folder, "--unmask", is_terminal=False)
    for name in set(DATA) - AUDITS:
        assert (name, SECRET in outputs[name]) == (name, name not in ("list", "start"))
        assert (name, token_in(outputs[name])) == (name, None)
        assert (name, URL_PASSWORD in outputs[name]) == (name, False)
    shown = json.loads(outputs["show json"])["input"]
    assert {**shown, "url": INPUT["url"]} == INPUT


def test_the_client_returns_what_is_stored(folder: Path, store_url: str) -> None:
    with Client(store_url) as client:
        execution = client.execution("flow", "running")
        assert execution.input == INPUT
        token = next(e.detail["input"]["callback"] for e in execution.history() if "callback" in str(e.detail))
        assert token_in(token)
        client.report_succeeded(token)


def test_commands_use_the_mask_that_workers_have_registered(folder: Path, store_url: str) -> None:
    with Redis.from_url(store_url, decode_responses=True) as redis:
        container = Bench(redis).build_container(mask=("pin",))
        container.routes.save(container.directory, container.settings)
    outputs = printed(folder, is_terminal=False)
    shown = json.loads(outputs["show json"])["input"]
    assert (shown["pin"], shown["password"], shown["nested"]) == ("***", SECRET, INPUT["nested"])


def token_in(text: str) -> str | None:
    found = re.search(r"djM[A-Za-z0-9_=-]{60,}", text)
    return None if found is None else found[0]
