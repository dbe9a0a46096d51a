"""Wrong values of options: exit status 2, and one line that names the option. No server is started."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pollflow.cli.app import app
from pollflow.cli.inputs import read_input
from pollflow.errors import InvalidArgument

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
    (["lint", "flow.yaml"], "--time-limit", NUMBERS),
    (["worker"], "--concurrency", ["0", "-1", "x", ""]),
    (["list"], "--redis", ["", "foo", "http://host", "redis://host:99999", "redis://host/x"]),
    (["run", "flow.yaml"], "--redis", ["", "foo"]),
    (["list"], "--app", [""]),
    ([], "--app", [""]),
    (["lint", "."], "--format", ["", "odd"]),
    (["start", "flow"], "--input", ["", "{", "[]", "1", "null", "NaN", '{"a": NaN}', "@missing", '{"a": "\udcff"}']),
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


@pytest.mark.parametrize(
    ("words", "option"), [(words, option) for words, option, values in OPTIONS if values is NUMBERS]
)
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("10s", "'10s'; write 10"),
        ("1h 30m", "'1h 30m'; write 5400"),
        ("PT0.5S", "'PT0.5S'; write 0.5"),
        ("ten", "'ten'"),
        ("-10s", "'-10s'"),
        ("", "''"),
        ("nan", "nan"),
    ],
)
def test_a_duration_in_another_form_says_what_to_write(words: list[str], option: str, value: str, shown: str) -> None:
    result = CliRunner().invoke(app, [*words, f"{option}={value}"])
    refusal = f"Error: Invalid value for '{option}': it must be a number of seconds, 0 or more, not {shown}"
    assert (result.exit_code, result.output.splitlines()[-1]) == (2, refusal)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["without a mark", "with a mark"])
def test_an_input_file_may_begin_with_a_byte_order_mark(mark: bytes, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_bytes(mark + '{"a": "中 \\ud83d"}'.encode())
    assert read_input(f"@{file}") == {"a": "中 \ud83d"}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"a":\n"\xe9"}', "not UTF-8 text: byte 0xe9; save it as UTF-8 (line 2)"),
        ("{}".encode("utf-16"), "not UTF-8 text, but UTF-16; save it as UTF-8 (line 1)"),
        (b"\xed\xa0\xbd", "not UTF-8 text: byte 0xed"),
        (b"{", "not valid JSON"),
        (b"[]", "must be a JSON object such as {}, not a list"),
        (b'{"a": 1, "b": 2, "a": 1}', "the key 'a' is repeated"),
        (b'{"a": [{"b": {"c": 1, "c": 2}}]}', "the key 'c' is repeated"),
        ('{"\\ud83d\\ude00": 1, "😀": 2}'.encode(), "is repeated"),
    ],
)
def test_an_error_of_an_input_file_names_the_file(raw: bytes, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_bytes(raw)
    with pytest.raises(InvalidArgument) as raised:
        read_input(f"@{file}")
    assert f"the input in {file}" in str(raised.value)
    assert reason in str(raised.value)


@pytest.mark.parametrize("raw", [b'\xef\xbb\xbf{"a": 1}', b'{"a": 1}'])
def test_standard_input_is_utf_8_in_every_locale(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="ascii"))
    assert read_input("-") == {"a": 1}


def test_the_bytes_of_an_argument_are_utf_8_or_refused() -> None:
    assert read_input('{"a": "中"}'.encode().decode("ascii", "surrogateescape")) == {"a": "中"}
    with pytest.raises(InvalidArgument, match=r"--input is not UTF-8 text: byte 0xe9"):
        read_input('{"a": "é"}'.encode("latin-1").decode("ascii", "surrogateescape"))
    with pytest.raises(InvalidArgument, match="lone surrogate"):
        read_input('{"a": "\ud83d"}')
