"""What `pollflow test` and `pollflow simulate` do, but for their options: plain functions that write lines."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pollflow.errors import DefinitionError, InvalidArgument, TaskError
from pollflow.fdl import Flow, load_flow, read_yaml
from pollflow.fdl.model import JsonObject, TaskStep
from pollflow.runtime.functions import Functions
from pollflow.testing.cases import load_script
from pollflow.testing.drawing import draw
from pollflow.testing.replies import NoReply, Reply, Source
from pollflow.testing.result import RunResult
from pollflow.testing.running import Runner, run_paths
from pollflow.testing.virtual import VirtualRun

Write = Callable[[str], None]
Ask = Callable[[str], str]
"""Asks a question. Raises EOFError where nobody answers any more, and may be ended by KeyboardInterrupt."""

ANSWERS = "a JSON object, `! ERROR CAUSE` for a failure, or `lost` for a worker that dies"


def test(
    paths: Sequence[str | Path],
    *,
    keyword: str | None = None,
    junit: str | Path | None = None,
    runner: Runner | None = None,
    write: Write,
) -> int:
    """Runs flow tests: a line a case, `N passed, M failed` last. The exit status: 1 on a failure.

    Raises `InvalidArgument` for a path that does not exist, and where there is no case to run.
    """
    report = run_paths(paths, keyword=keyword, tell=lambda verdict: write(str(verdict)), runner=runner)
    if junit is not None:
        report.write_junit(junit)
    if not report.verdicts:
        raise InvalidArgument(f"no case has {keyword!r} in its name or its file's")
    write(report.summary)
    return 1 if report.failed else 0


test.__test__ = False  # type: ignore[attr-defined]  # pytest takes the name for a test


def simulate(
    flow: str | os.PathLike[str],
    input: JsonObject | None = None,
    *,
    script: str | Path | None = None,
    functions: Functions | None = None,
    ask: Ask | None = None,
    until: float | None = None,
    write: Write,
) -> RunResult:
    """Runs one flow once and draws it.

    Replies come from `script`, a YAML file with `functions` and `at` as in a case; or from registered `functions`; or
    are asked for. Without any of them nothing answers. Raises `DefinitionError` and `InvalidArgument`, also where
    nobody answers what is asked.
    """
    loaded = load_flow(flow)
    name = Path(flow).name.split(".")[0]
    if script is not None:
        replies, stimuli = load_script(script)
        run = VirtualRun(loaded, input, functions=replies, stimuli=stimuli, flow_name=name)
    elif functions is not None:
        run = VirtualRun(loaded, input, functions=functions, flow_name=name)
    else:
        run = VirtualRun(loaded, input, functions={} if ask is None else _asking(loaded, ask), flow_name=name)
    try:
        result = run.run(until)
    except NoReply as error:
        raise InvalidArgument(str(error)) from error
    write(draw(result))
    return result


def _asking(flow: Flow, ask: Ask) -> dict[str, Source]:
    steps = [step for series in flow.series.values() for step in series.steps if isinstance(step, TaskStep)]
    return {step.resource.arn: _asker(step.resource.arn, ask) for step in steps}


def _asker(name: str, ask: Ask) -> Source:
    def answer(input: JsonObject, context: object) -> Reply:
        question = f"{name} is called with {json.dumps(input, ensure_ascii=False)}\n  {ANSWERS}: "
        while True:
            try:
                return _answered(ask(question).strip())
            except EOFError:
                raise NoReply(f"no reply was given for {name}, so the run cannot go on") from None
            except (DefinitionError, InvalidArgument) as error:
                question = f"  {error}\n  once more: "

    return answer


def _answered(text: str) -> Reply:
    """What was typed as a reply. Raises DefinitionError and InvalidArgument, with what would be right."""
    if text == "lost":
        return Reply(lost=True)
    if text.startswith("!"):
        error, _, cause = text[1:].strip().partition(" ")
        if not error:
            raise InvalidArgument("which error? `! ERROR CAUSE`, such as `! FC.Timeout too slow`")
        return Reply(raises=TaskError(error, cause.strip()))
    value = read_yaml(text, path="the answer") if text else {}
    if not isinstance(value, dict):
        raise InvalidArgument(f"that is no answer; write {ANSWERS}")
    return Reply(value)
