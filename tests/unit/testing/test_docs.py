"""The examples of docs/testing.md pass."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pollflow.testing import run_paths

PAGE = Path(__file__).parents[3] / "docs" / "testing.md"
EXAMPLES = dict(re.findall(r"<!-- example: (\S+) -->\n```\w+\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))

pytest_plugins = ["pytester"]


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name.endswith(".yaml")])
def test_the_flow_tests_of_the_page_pass(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(EXAMPLES[name], encoding="utf-8")
    report = run_paths([tmp_path])
    assert [verdict.differences for verdict in report.verdicts if not verdict.passed] == []
    assert report.passed == EXAMPLES[name].count("- name:")
