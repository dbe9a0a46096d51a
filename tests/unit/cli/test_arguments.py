"""Wrong values of options: exit status 2, and one line that names the option. No server is started."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pollflow.cli.app import app

NUMBERS = ["-1", "nan", "inf", "-inf", "1e999", "ten", "", "10s"]
NAMES = ["", " ", "a b", "a/b", "é", "-a", "x" * 129]
OPTIONS: list[tuple[list[str], str, list[str]]] = [
    (["list"], "--limit", ["-1", "0", "1.5", "ten", "", "nan", "10001"]),
    (["list"], "--status", ["", "odd"]),
    (["start", "flow"], "--timeout", NUMBERS),
    (["start", "flow"], "--name", NAMES),
    (["run", "flow.yaml"], "--timeout", NUMBERS),
    (["run", "flow.yaml"], "--name", NAMES),
    (["deploy", "flow.yaml"], "--name", NAMES),
    (["simulate", "flow.yaml"], "--until", NUMBERS),
    (["worker"], "--concurrency", ["0", "-1", "x", ""]),
    (["lint", "."], "--format", ["", "odd"]),
    (["start", "flow"], "--input", ["", "{", "[]", "1", "null", "NaN", '{"a": NaN}', "@missing"]),
]


@pytest.mark.parametrize(
    ("words", "option", "value"), [(words, option, value) for words, option, values in OPTIONS for value in values]
)
def test_a_wrong_value_is_refused_with_the_name_of_the_option(
    words: list[str], option: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("worker.py").write_text("app = None\n")
    Path("flow.yaml").write_text("version: v1\ntype: flow\nsteps:\n- {type: pass, name: P}\n")
    result = CliRunner().invoke(app, [*words, f"{option}={value}"])
    named = [line for line in result.output.splitlines() if option in line or "input" in line]
    assert (result.exit_code, len(named)) == (2, 1), result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flow.yaml", "worker.py"]
