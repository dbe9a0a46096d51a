"""The pytest plugin: it collects flow tests and provides `flow_run`."""

from __future__ import annotations

import pytest

from tests.unit.testing.test_docs import EXAMPLES

pytest_plugins = ["pytester"]
PLUGIN = ("-p", "pollflow.testing.plugin", "-p", "no:cacheprovider")


@pytest.fixture
def arguments(pytestconfig: pytest.Config) -> tuple[str, ...]:
    """Return the options of pytest, which name the plugin unless its entry point is installed."""
    return PLUGIN[2:] if pytestconfig.pluginmanager.has_plugin("pollflow") else PLUGIN


def test_flow_tests_are_collected_and_pass(pytester: pytest.Pytester, arguments: tuple[str, ...]) -> None:
    for name, text in EXAMPLES.items():
        pytester.path.joinpath(name).write_text(text, encoding="utf-8")
    passed = sum(text.count("- name:") + text.count("def test_") for text in EXAMPLES.values())
    pytester.runpytest_inprocess(*arguments).assert_outcomes(passed=passed)


def test_a_failure_shows_the_differences(pytester: pytest.Pytester, arguments: tuple[str, ...]) -> None:
    text = EXAMPLES["polling.flowtest.yaml"].replace("seconds: 21.5", "seconds: 20")
    pytester.path.joinpath("x.flowtest.yaml").write_text(text, encoding="utf-8")
    result = pytester.runpytest_inprocess(*arguments)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*x.flowtest.yaml:10: done at the second query", "seconds: expected 20, actual 21.5"])


def test_an_invalid_file_is_an_error(pytester: pytest.Pytester, arguments: tuple[str, ...]) -> None:
    pytester.path.joinpath("x.flowtest.yaml").write_text("cases: 1", encoding="utf-8")
    result = pytester.runpytest_inprocess(*arguments)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*x.flowtest.yaml:1:1: *flow* or *definition* is missing*"])


def test_paths_of_flow_run_are_relative_to_the_test(pytester: pytest.Pytester, arguments: tuple[str, ...]) -> None:
    folder = pytester.mkdir("tests")
    folder.joinpath("f.yaml").write_text("version: v1\ntype: flow\nsteps: [{type: pass, name: A}]", encoding="utf-8")
    folder.joinpath("test_x.py").write_text("def test_x(flow_run):\n    assert flow_run('f.yaml').steps == ['A']\n")
    pytester.runpytest_inprocess(*arguments).assert_outcomes(passed=1)
