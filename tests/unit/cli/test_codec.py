"""The arguments of `pollflow codec`."""

from __future__ import annotations

from typer.testing import CliRunner

from pollflow.cli.app import app


def test_only_rotate_is_an_action() -> None:
    result = CliRunner().invoke(app, ["codec", "decode"])
    assert result.exit_code == 2
    assert "'decode' is not" in result.output
