"""docs/language.md: its flows are valid without warnings, its Python runs, and its tables match the code."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import fakeredis
import pytest
import yaml

import pollflow
from pollflow.fdl import Flow, lint, read_flow
from pollflow.fdl.fields import END, INPUT, OUTPUT, SHAPES, STEP_FIELDS
from pollflow.fdl.model import Retry
from pollflow.runtime.settings import Settings
from pollflow.testing import Reply, run_flow
from tests.contract.conftest import Bench

PAGE = (Path(__file__).parents[2] / "docs" / "language.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.M | re.S)
YAML = [text for language, text in BLOCKS if language == "yaml"]
PYTHON = [text for language, text in BLOCKS if language == "python"]
FLOWS = [text for text in YAML if text.startswith("version: v1")]
STEPS = [text for text in YAML if text.startswith("- ")]
Namespace = dict[str, Any]


def block_with(text: str, blocks: list[str]) -> str:
    (found,) = (block for block in blocks if text in block)
    return found


def section(title: str) -> str:
    """Return the text below a heading, up to the next heading of any level."""
    match = re.search(
        rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", re.sub(r"^```.*?^```", "", PAGE, flags=re.M | re.S), re.M | re.S
    )
    assert match, title
    return match[1]


def rows(text: str) -> list[list[str]]:
    """Return the cells of the tables in a text, without the separator lines."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in cells if not set(row[0]) <= {"-"}]


def named(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


def as_flow(steps: str) -> str:
    """Return a flow of the steps, with a pass step for each goto to a step that is not among them."""
    known = re.findall(r"name: (\w+)", steps)
    missing = [name for name in dict.fromkeys(re.findall(r"goto: (\w+)", steps)) if name not in known]
    lines = [*steps.splitlines(), *(f"- {{type: pass, name: {name}}}" for name in missing)]
    return "\n".join(["version: v1", "type: flow", "steps:", *lines])


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Return a bench on fakeredis; the Python of the page uses its Redis and its functions."""
    server = fakeredis.FakeServer()

    def connect(*_: Any, **__: Any) -> fakeredis.FakeRedis:
        return fakeredis.FakeRedis(server=server, decode_responses=True)

    monkeypatch.setattr("pollflow.client.client.connect", connect)
    monkeypatch.setattr("redis.Redis.from_url", connect)
    monkeypatch.setenv("POLLFLOW_REDIS_URL", "redis://nowhere.invalid/0")
    bench = Bench(connect())
    monkeypatch.setattr(pollflow, "function", bench.functions.function)
    return bench


def run_block(block: str) -> Namespace:
    namespace: Namespace = {"__name__": "page"}
    exec(compile(block, "docs/language.md", "exec"), namespace)  # noqa: S102
    return namespace


def test_every_code_block_is_tested() -> None:
    assert len(FLOWS) + len(STEPS) + len(PYTHON) == len(BLOCKS) == PAGE.count("```") / 2
    assert FLOWS and STEPS and PYTHON


@pytest.mark.parametrize("text", FLOWS)
def test_flows_are_valid_without_lint_warnings(text: str) -> None:
    assert lint(read_flow(text)) == ()


@pytest.mark.parametrize("text", STEPS)
def test_steps_are_valid_within_a_flow(text: str) -> None:
    flow: Flow = read_flow(as_flow(text))
    assert len(flow.steps.steps) >= len(yaml.safe_load(text))


@pytest.mark.parametrize("block", PYTHON)
def test_python_runs_and_registers_its_functions(block: str, bench: Bench) -> None:
    run_block(block)
    assert list(bench.functions)


def test_the_data_of_the_flow_matches_the_table() -> None:
    replies = {"Start": [Reply({"job": {"id": "J1"}})], "Status": [Reply({"status": "done"})]}
    result = run_flow(block_with("exports/functions", FLOWS), {"table": "orders"}, functions=replies)
    assert result.status == "Succeeded"
    details: dict[str, list[Any]] = {}
    for event in result.history:
        for key in {"StepStarted": ["input"], "StepSucceeded": ["output"], "StepExited": ["local"]}.get(event.type, []):
            details.setdefault(event.step, []).append(event.detail[key])
    listed: dict[str, list[Any]] = {}
    local: Any = None
    for name, input, output, after in (row for row in rows(section("How data moves")) if len(row) == 4):
        if name in result.steps:
            local = local if after.startswith("the same") else yaml.safe_load(after.strip("`"))
            listed[name] = [yaml.safe_load(input.strip("`")), yaml.safe_load(output.strip("`")), local]
    assert listed == details
    assert list(listed) == result.steps
    assert result.output == local


def test_the_task_table_has_the_fields_of_a_task() -> None:
    listed = set().union(
        *(named(row[0]) for row in rows(section("Task")) if row[1] in ("required", "none", "`requestResponse`"))
    )
    common = {field.name for field in (INPUT, OUTPUT, END)}
    assert listed == {field.name for field in STEP_FIELDS["task"]} - common


def test_the_retry_table_has_the_fields_and_defaults_of_a_policy() -> None:
    listed = {
        row[0].strip("`"): row[1]
        for row in rows(section("Errors"))
        if row[0].strip("`") in {f.name for f in SHAPES["retry"]}
    }
    assert set(listed) == {field.name for field in SHAPES["retry"]}
    policy = Retry(errors=("E",))
    for field in SHAPES["retry"]:
        if not field.required:
            assert float(listed[field.name]) == getattr(policy, field.attribute)


def test_the_page_lists_the_fields_of_the_other_step_types() -> None:
    text = section("Choice, parallel, foreach") + section("Pass, wait, succeed, fail")
    for step_type in ("choice", "parallel", "foreach", "wait", "fail"):
        own = {field.name for field in STEP_FIELDS[step_type] if field not in (INPUT, OUTPUT, END)}
        assert own <= named(text), step_type


def test_the_context_table_has_the_fields_of_the_context() -> None:
    listed = set().union(*(named(row[0]) for row in rows(section("Functions"))))
    assert listed == {field.name for field in fields(pollflow.Context)}


def test_the_limits_are_those_of_the_settings() -> None:
    defaults = Settings()
    listed = {row[2].strip("`"): row[1] for row in rows(section("Limits")) if "pollflow_" in row[2]}
    assert len(listed) == 9
    for name, limit in listed.items():
        assert float(limit.split()[0]) == getattr(defaults, name.removeprefix("pollflow_")), name


@pytest.mark.parametrize("raised", ["ConnectionResetError", "TaskError"])
def test_exceptions_match_the_errors_of_the_table(raised: str) -> None:
    (row,) = (row for row in rows(section("Errors")) if f"{raised}(" in row[0])
    call, error, cause, matching = row
    (expression,) = named(call)

    def function(input: dict[str, Any], context: pollflow.Context) -> Any:
        raise eval(expression, {"pollflow": pollflow})  # noqa: S307

    for name in named(error) | named(matching):
        result = run_flow(catching(name), functions={"f": function})
        assert result.output == {"error": error.strip("`"), "cause": cause.strip("`")}, name
    assert run_flow(catching("Other"), functions={"f": function}).error == error.strip("`")


def catching(name: str) -> str:
    return as_flow(
        f"""- type: task
  name: T
  resourceArn: acs:fc:::services/s/functions/f
  catch: [{{errors: [{name}], goto: Caught}}]
  errorMappings: [{{target: error, source: $local.error}}, {{target: cause, source: $local.cause}}]"""
    )


class CallbackExample:
    """The callback example: its flow is deployed, and one execution waits for the approval of order 7."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.page = run_block(block_with("report_succeeded", PYTHON))
        self.answer: Callable[..., str] = self.page["answer"]
        self.ref = bench.start(block_with("waitForCallback", FLOWS), {"order": "7"})
        bench.work()

    def outcome(self) -> tuple[str, Any, str | None, str | None]:
        # No worker has registered its queues, so the sweep publishes what the client's report made.
        self.bench.pass_time(1)
        self.bench.sweep()
        self.bench.work()
        record = self.bench.container.reading.execution(self.ref)
        return record.status.value, record.output, record.error, record.cause


def test_the_callback_example_approves_once(bench: Bench) -> None:
    example = CallbackExample(bench)
    assert example.outcome()[0] == "Running"
    yes = partial(example.answer, "7", "Ann", True)
    assert yes() == "thank you"
    assert yes() == "too late"
    assert example.outcome()[:2] == ("Succeeded", {"approved_by": "Ann"})
    assert yes() == "too late"


def test_the_callback_example_refuses(bench: Bench) -> None:
    example = CallbackExample(bench)
    assert example.answer("7", "Ann", False) == "thank you"
    assert example.outcome() == ("Failed", None, "NotApproved", "refused by Ann")


def test_the_callback_example_refuses_late_and_forged_answers(bench: Bench) -> None:
    example = CallbackExample(bench)
    assert example.answer("8", "Ann", True) == "nobody asked"
    bench.pass_time(86_401)
    bench.sweep()
    assert example.answer("7", "Ann", True) == "too late"
    assert example.outcome()[2] == "NotApproved"
    assert example.answer("7", "Ann", True) == "too late"


def test_invalid_reports_raise_the_errors_of_the_table(bench: Bench) -> None:
    example = CallbackExample(bench)
    token = example.page["tokens"].get("approval:7")
    client = pollflow.Client()
    with pytest.raises(pollflow.InvalidTaskToken):
        client.report_succeeded(token[:-8] + "AAAAAAAA", {})
    with pytest.raises(pollflow.EntityTooLarge):
        client.report_succeeded(token, {"a": "x" * 40_000})
    with pytest.raises(pollflow.InvalidArgument):
        client.report_succeeded(token, ["no object"])  # type: ignore[arg-type]
    for error in ("", "x" * 129):
        with pytest.raises(pollflow.InvalidArgument):
            client.report_failed(token, error)
    assert example.outcome()[0] == "Running"
    client.execution("flow", example.ref.name).stop()
    client.execution("flow", example.ref.name).purge()
    with pytest.raises(pollflow.InvalidTaskToken):
        client.report_succeeded(token, {})


@pytest.mark.parametrize(
    ("ship", "error"),
    [
        ("timeoutSeconds: 5\nsteps: [{type: wait, name: W, duration: 9}]", "FnF.ExecutionTimeout"),
        ("steps: [{type: fail, name: F, error: E}]", "E"),
        ("steps: [{type: task, name: B, resourceArn: 'acs:fc:::services/s/functions/big'}]", "FnF.DataLimitExceeded"),
    ],
)
def test_the_failure_of_a_sub_flow_is_caught_at_its_step(ship: str, error: str) -> None:
    functions = {"shop/Refund": [Reply({})], "big": [Reply({"a": "x" * 40_000})]}
    input = {"order": {"id": 1}}
    text = block_with("ship-order", FLOWS)
    result = run_flow(text, input, functions=functions, flows={"ship-order": f"version: v1\ntype: flow\n{ship}"})
    (sub,) = result.sub_executions
    assert (sub.error, result.status, result.steps) == (error, "Succeeded", ["Ship", "Refund"])


def test_the_functions_of_the_page_return_results(bench: Bench) -> None:
    run_block(block_with("fc_handler", PYTHON))
    both = """- {type: task, name: A, resourceArn: "acs:fc:::services/s/functions/render"}
- {type: task, name: B, resourceArn: "acs:fc:::services/shop/functions/Total"}"""
    result = run_flow(as_flow(both), {"prices": [1, 2]}, functions=bench.functions)
    assert result.output == {"url": "pages/virtual-1/A/r.1", "total": 3, "request": "virtual-1/B/r.2"}
