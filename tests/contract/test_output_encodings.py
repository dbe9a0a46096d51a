"""No command ends in a traceback, and JSON stays JSON, where standard output cannot encode every character."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from pollflow import Client, Context, TaskError
from pollflow.cli import texts
from pollflow.printable import clean
from tests.contract.conftest import Bench

TEXT = "中文 é 😀 half \ud83d NUL \x00 \x9b \u202e"
FLOW = """
version: v1
type: flow
steps:
- {type: task, name: "步骤 é 😀", resourceArn: "acs:fc:::services/s/functions/call"}
- {type: wait, name: "等待", duration: 1000}
"""
BAD_FLOW = 'version: v1\ntype: flow\nsteps:\n- {type: 等待 😀, name: "é"}\n'
FLOW_TEST = f"""
definition: {json.dumps({"version": "v1", "type": "flow", "steps": [{"type": "pass", "name": "等 é 😀"}]})}
cases:
- {{name: "名 é 😀", input: {{"a": "中 é 😀"}}, expect: {{output: {{"b": "é 中 😀"}}}}}}
"""
SCRIPT = """functions: {call: [{returns: {"r": "中 é 😀"}}]}\n"""
COMMANDS = {
    "list": ["list"],
    "list json": ["list", "--json"],
    "show running": ["show", "flow/running"],
    "show failed": ["show", "flow/failed"],
    "show json": ["show", "flow/running", "--json"],
    "history": ["history", "flow/running"],
    "history failed": ["history", "flow/failed", "--all"],
    "history json": ["history", "flow/failed", "--json"],
    "flows": ["flows"],
    "flows json": ["flows", "--json"],
    "start": ["start", "flow", "--input", "@input.json", "--name", "running"],
    "start json": ["start", "flow", "--input", "@input.json", "--name", "started", "--json"],
    "stop json": ["stop", "flow/started", "--error", "错 é 😀", "--cause", "é 中 😀", "--json"],
    "purge": ["purge", "flow/started"],
    "lint": ["lint", "坏.yaml"],
    "lint json": ["lint", "坏.yaml", "--json"],
    "deploy": ["deploy", "flow.yaml", "--name", "other"],
    "deploy bad": ["deploy", "坏.yaml", "--name", "other"],
    "test": ["test", "é.flowtest.yaml"],
    "simulate": ["simulate", "flow.yaml", "--script", "脚本.yaml"],
    "no such file": ["run", "缺😀.yaml"],
    "no such execution": ["show", "流/é😀"],
    "no such flow": ["start", "é中😀"],
    "schema": ["schema"],
}
FAILING = {"lint": 1, "lint json": 1, "deploy bad": 2, "test": 1, "no such file": 2, "no such execution": 2}
FAILING |= {"no such flow": 2}
URL_OPTION = {"list", "show", "history", "flows", "start", "stop", "purge", "deploy"}
DRIVER = """
import json, sys
from pollflow.cli.app import main
for name, words in json.load(open("commands.json", encoding="utf-8")).items():
    sys.argv = ["pollflow", *words]
    status = 0
    try:
        main()
    except SystemExit as ended:
        status = ended.code or 0
    sys.stdout.flush()
    sys.stdout.buffer.write(f"\\n=== {name}={status}\\n".encode())
    sys.stdout.buffer.flush()
"""
ENCODINGS: dict[str, dict[str, str]] = {
    "utf-8": {"PYTHONIOENCODING": "utf-8"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "gbk": {"PYTHONIOENCODING": "gbk"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "the locale C": {"LC_ALL": "C"},
}


@pytest.fixture
def project(store_url: str, tmp_path: Path) -> Path:
    """Return a folder with flows. Redis has an execution that runs, and one that failed, with the text everywhere."""
    with Redis.from_url(store_url, decode_responses=True) as redis:
        bench = Bench(redis)

        def call(input: dict[str, Any], context: Context) -> Any:
            if context.execution_name == "failed":
                raise TaskError(TEXT, TEXT)
            return {TEXT: TEXT}

        bench.functions.register("call", call)
        with Client(store_url) as client:
            client.deploy_text(FLOW, "flow", description=clean(TEXT))
        for name in ("running", "failed"):
            bench.container.starter.start("flow", {TEXT: [TEXT]}, name)
            bench.work()
    files = {"flow.yaml": FLOW, "坏.yaml": BAD_FLOW, "é.flowtest.yaml": FLOW_TEST, "脚本.yaml": SCRIPT}
    files["input.json"] = json.dumps({TEXT: [TEXT]})
    files["commands.json"] = json.dumps(
        {name: [*words, "--redis", store_url] if words[0] in URL_OPTION else words for name, words in COMMANDS.items()}
    )
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_command_prints_in_every_encoding(project: Path, encoding: str) -> None:
    env = {name: value for name, value in os.environ.items() if name not in ("LC_ALL", "PYTHONIOENCODING")}
    env |= {"PYTHONPATH": str(Path(__file__).parents[2]), **ENCODINGS[encoding]}
    run = subprocess.run([sys.executable, "-c", DRIVER], cwd=project, env=env, capture_output=True, check=False)
    assert b"Traceback" not in run.stderr + run.stdout, run.stderr.decode(errors="replace")
    *parts, rest = run.stdout.split(b"\n=== ")
    outputs: dict[str, bytes] = {}
    for part, after in zip(parts, [*parts[1:], rest], strict=True):
        name, _, status = after.partition(b"\n")[0].decode().partition("=")
        outputs[name] = part if not outputs else part.partition(b"\n")[2]
        assert (name, int(status)) == (name, FAILING.get(name, 0)), run.stderr.decode(errors="replace")
    assert outputs.keys() == COMMANDS.keys()
    is_unicode = encoding in ("utf-8", "the locale C")
    documents = {
        name: json.loads(output.decode("utf-8" if is_unicode else "ascii"))
        for name, output in outputs.items()
        if name.endswith("json")
    }
    listed = {each["name"]: each for each in documents["list json"]}
    assert (listed["failed"]["error"], listed["failed"]["cause"]) == (TEXT, TEXT)
    assert listed["running"]["input"] == {TEXT: [TEXT]}
    assert documents["show json"]["open_steps"][0]["name"] == "等待"
    assert documents["history json"][-1]["detail"] == {"error": TEXT, "cause": TEXT}
    assert documents["flows json"][0]["definition"] == FLOW
    assert documents["stop json"]["error"] == "错 é 😀"
    if is_unicode:
        assert "中文 é 😀 half \\ud83d NUL \\x00 \\x9b \\u202e" in outputs["show failed"].decode()
        assert "中文 é 😀 half \\ud83d NUL \\u0000 \\u009b" in outputs["history"].decode()


def test_invisible_characters_are_shown_by_code_point() -> None:
    assert clean("a\x00b\x9b\u200b\ud83d\U000e0001中") == "a\\x00b\\x9b\\u200b\\ud83d\\U000e0001中"
    assert texts.compact({"\ud83d": "\x00\x9b😀"}) == '{"\\ud83d": "\\u0000\\u009b😀"}'
