"""`pollflow codec rotate` without a codec says what to do."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from pollflow.cli.app import app

pytestmark = pytest.mark.usefixtures("no_project")


def test_only_rotate_is_an_action() -> None:
    result = CliRunner().invoke(app, ["codec", "decode"])
    assert result.exit_code == 2
    assert "'decode' is not 'rotate'" in result.output
