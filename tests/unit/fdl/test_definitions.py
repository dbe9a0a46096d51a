from __future__ import annotations

import hashlib
import json
from pathlib import Path as FilePath

import pytest

import pollflow.fdl
from pollflow.errors import DefinitionError
from pollflow.fdl import (
    Catch,
    Constant,
    Flow,
    FlowResource,
    FunctionResource,
    Mapping,
    Pattern,
    Resource,
    Retry,
    ServiceResource,
    TaskStep,
    load_flow,
    parse_moment,
    read_flow,
    read_yaml,
)
from pollflow.fdl.expr import Condition, compile_path
from pollflow.fdl.model import (
    ChoiceStep,
    FailStep,
    ForeachStep,
    Option,
    ParallelStep,
    PassStep,
    Series,
    StepPosition,
    SucceedStep,
    WaitStep,
)
from tests.unit.fdl.texts import HEAD, flow_of

ROOT = FilePath(__file__).parents[3]
FLOWTESTS = sorted((ROOT / "tests/flowtests").glob("*.flowtest.yaml"))


def test_the_public_names_are_sorted_and_exist() -> None:
    names = pollflow.fdl.__all__
    assert names == sorted(names, key=lambda name: (not name.isupper(), name))
    assert all(hasattr(pollflow.fdl, name) for name in pollflow.fdl.__all__)


def test_the_polling_flow_is_read_completely() -> None:
    path = ROOT / "flows/task_polling.yaml"
    flow = load_flow(path)
    names = [step.name for step in flow.steps.steps]
    assert names == ["StartJob", "Init", "Wait10s", "GetJobStatus", "CheckJobComplete", "JobSucceeded", "JobFailed"]
    assert flow.text == path.read_text()
    assert flow.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert flow.steps.steps[4] == ChoiceStep(
        name="CheckJobComplete",
        path="steps[4]",
        line=25,
        column=5,
        input_mappings=(
            Mapping("status", compile_path("$local.job_status")),
            Mapping("try_count", compile_path("$local.try_count")),
        ),
        choices=(
            Option(Condition('$.status == "success"'), None, "JobSucceeded"),
            Option(Condition("$.try_count > 3"), None, "JobFailed"),
            Option(Condition('$.status == "running"'), None, "Wait10s"),
        ),
    )


@pytest.mark.parametrize("path", FLOWTESTS, ids=lambda path: path.name.split(".")[0])
def test_the_flows_of_the_flow_tests_are_read_or_refused_line_by_line(path: FilePath) -> None:
    document = read_yaml(path.read_text())
    definition = document.get("definition")
    expected = [case["expect"]["invalid"] for case in document["cases"] if "invalid" in case["expect"]]
    if not expected:
        assert isinstance(
            load_flow(path.parent / document["flow"]) if definition is None else read_flow(json.dumps(definition)), Flow
        )
        return
    with pytest.raises(DefinitionError) as refused:
        read_flow(definition)
    assert [problem.line for problem in refused.value.problems] == [
        problem_line["line"] for problem_line in expected[0]
    ]
    for problem, problem_line in zip(refused.value.problems, expected[0], strict=True):
        assert problem_line["message_contains"] in str(problem)


def test_every_step_type_becomes_its_model() -> None:
    text = """
version: v1beta1
type: flow
name: all_types
timeoutSeconds: 60
inputMappings: [{target: a, source: $input.a}]
outputMappings: [{target: b, source: {c: [1, $local.x]}}]
steps:
  - type: pass
    name: P
    end: yes
    outputMappings: []
  - {type: wait, name: W, duration: 2.5}
  - {type: wait, name: W2, duration: $.pause}
  - {type: wait, name: until, timestamp: 2026-01-01T00:01:00Z}
  - type: choice
    name: C
    choices: [{condition: $.a, steps: []}]
    default: {steps: [{type: pass, name: inner}], goto: C}
  - type: parallel
    name: B
    branches: [steps: [{type: pass, name: one}], steps: [{type: pass, name: two}]]
  - type: foreach
    name: F
    iterationMapping: {collection: $.list, item: it}
    steps: [{type: pass, name: each}]
  - {type: succeed, name: S}
  - {type: fail, name: X, error: 503, cause: $.why}
"""
    text = (
        text.replace("[steps: [", "[{steps: [")
        .replace("one}], steps: [", "one}]}, {steps: [")
        .replace("two}]]", "two}]}]")
    )
    flow = read_flow(text)
    inner = Series(
        "steps[4].default.steps",
        (PassStep(name="inner", path="steps[4].default.steps[0]", line=19, column=23),),
        StepPosition("steps", 4),
    )
    steps = {step.name: step for step in flow.steps.steps}
    assert (flow.name, flow.timeout_seconds) == ("all_types", 60)
    assert flow.input_mappings == (Mapping("a", compile_path("$input.a")),)
    assert flow.output_mappings == (Mapping("b", Constant({"c": [1, "$local.x"]})),)
    assert steps["P"] == PassStep(name="P", path="steps[0]", line=9, column=5, end=True, output_mappings=())
    assert steps["W"] == WaitStep(name="W", path="steps[1]", line=13, column=5, duration=2.5)
    assert steps["W2"] == WaitStep(name="W2", path="steps[2]", line=14, column=5, duration=compile_path("$.pause"))
    assert steps["until"] == WaitStep(name="until", path="steps[3]", line=15, column=5, timestamp=1767225660.0)
    assert steps["C"] == ChoiceStep(
        name="C",
        path="steps[4]",
        line=16,
        column=5,
        choices=(Option(Condition("$.a"), None, None),),
        default=Option(None, inner, "C"),
    )
    parallel, foreach = steps["B"], steps["F"]
    assert isinstance(parallel, ParallelStep)
    assert [branch.path for branch in parallel.branches] == ["steps[5].branches[0].steps", "steps[5].branches[1].steps"]
    assert isinstance(foreach, ForeachStep)
    assert (foreach.collection, foreach.item, foreach.index) == (compile_path("$.list"), "it", None)
    assert steps["S"] == SucceedStep(name="S", path="steps[7]", line=27, column=5)
    assert steps["X"] == FailStep(
        name="X", path="steps[8]", line=28, column=5, error="503", cause=compile_path("$.why")
    )
    assert list(flow.series) == [
        "steps",
        "steps[4].default.steps",
        "steps[5].branches[0].steps",
        "steps[5].branches[1].steps",
        "steps[6].steps",
    ]
    assert flow.series["steps[6].steps"] is foreach.steps


def test_a_task_becomes_its_model() -> None:
    flow = read_flow(
        HEAD
        + """
  - type: task
    name: T
    resourceArn: acs:fc:cn-shanghai:{account}:services/jobs.LATEST/functions/work
    pattern: waitForCallback
    timeoutSeconds: 0.5
    serviceParams: {Input: $, Deep: [{Job: $.job.id, Price: $5}], Other: $input.x}
    retry: [{errors: [A, FnF.ALL], intervalSeconds: 2, maxAttempts: 0, multiplier: 1.5, maxIntervalSeconds: 9},
            {errors: [B]}]
    catch: [{errors: [C], goto: T}]
    errorMappings: [{target: why, source: $local.cause}]
"""
    )
    arn = "acs:fc:cn-shanghai:{account}:services/jobs.LATEST/functions/work"
    assert flow.steps.steps[0] == TaskStep(
        name="T",
        path="steps[0]",
        line=5,
        column=5,
        resource=FunctionResource(arn, "jobs", "work"),
        pattern=Pattern.WAIT_FOR_CALLBACK,
        timeout_seconds=0.5,
        service_params={
            "Input": compile_path("$"),
            "Deep": [{"Job": compile_path("$.job.id"), "Price": "$5"}],
            "Other": "$input.x",
        },
        retry=(Retry(("A", "FnF.ALL"), 2, 0, 1.5, 9), Retry(("B",), 1, 3, 2, 86_400)),
        catch=(Catch(("C",), "T"),),
        error_mappings=(Mapping("why", compile_path("$local.cause")),),
    )


@pytest.mark.parametrize(
    ("field", "resource"),
    [
        (
            "resourceArn: 'acs:fc:::services/s/functions/f'",
            FunctionResource("acs:fc:::services/s/functions/f", "s", "f"),
        ),
        ("resourceArn: 'acs:fnf:::flow/sub'", FlowResource("acs:fnf:::flow/sub", "sub")),
        ("resourceArn: 'acs:mns:::/topics/T/messages'", ServiceResource("acs:mns:::/topics/T/messages", True)),
        ("resourceArn: 'acs:oss:::x'", ServiceResource("acs:oss:::x", False)),
        ("action: 'fnf:StartExecution'", FlowResource("fnf:StartExecution", None)),
        ("action: 'ocr:Recognize'", ServiceResource("ocr:Recognize", True)),
    ],
)
def test_arns_and_actions_name_resources(field: str, resource: Resource) -> None:
    step = flow_of(f"type: task, name: t, {field}").steps.steps[0]
    assert isinstance(step, TaskStep)
    assert step.resource == resource


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("'1970-01-01T00:00:00Z'", 0.0),
        ("'1970-01-01T08:00:00.25+08:00'", 0.25),
        ("'1969-12-31t19:00:00-05:00'", 0.0),
        ("1970-01-01", 0.0),
        ("1970-01-01 00:00:01", 1.0),
        ("1970-01-01 9:00:00 +8", 3600.0),
        ("'2016-12-31T23:59:60Z'", 1483228800.0),
    ],
)
def test_timestamps_are_read_quoted_or_not(written: str, moment: float) -> None:
    step = flow_of(f"type: wait, name: w, timestamp: {written}").steps.steps[0]
    assert isinstance(step, WaitStep)
    assert step.timestamp == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-02-30T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "now",
        "2026-01-01T00:00:00+25:00",
        "0000-01-01T00:00:00Z",
        "2026-01-01T00:00:00+08:99",
    ],
)
def test_a_timestamp_that_is_not_rfc_3339_is_refused(text: str) -> None:
    assert parse_moment(text) is None


def test_text_fields_accept_scalars_of_other_types() -> None:
    step = flow_of("type: fail, name: no, error: 1.50, cause: yes").steps.steps[0]
    assert (step.name, step.error, step.cause) == ("no", "1.50", "yes")  # type: ignore[attr-defined]


def test_empty_fields_are_absent_but_null_is_a_constant() -> None:
    flow = read_flow(HEAD + "  - {type: pass, name: a, end: , outputMappings: [{target: t, source: }]}\n")
    assert flow.steps.steps[0].output_mappings == (Mapping("t", Constant(None)),)
