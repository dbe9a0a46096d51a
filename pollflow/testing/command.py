"""The implementations of `pollflow test` and `pollflow simulate`, without the command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pollflow.errors import DefinitionError, InvalidArgument, TaskError
from pollflow.fdl import Flow, load_flow, read_yaml
from pollflow.fdl.model import JsonObject, TaskStep
from pollflow.printable import json_text
from pollflow.runtime.functions import Functions
from pollflow.runtime.masking import Hider, Mask
from pollflow.testing.cases import load_script
from pollflow.testing.drawing import draw
from pollflow.testing.replies import NoReply, Reply, Source
from pollflow.testing.result import RunResult
from pollflow.testing.running import Runner, run_paths
from pollflow.testing.virtual import VirtualRun

Write = Callable[[str], None]
Ask = Callable[[str], str]
"""Asks a question. Raises EOFError at the end of input."""

REPLY_FORMS = "a JSON object, `! ERROR CAUSE` for a failure, or `lost` if the worker dies"


def test(
    paths: Sequence[str | Path],
    *,
    keyword: str | None = None,
    junit: str | Path | None = None,
    runner: Runner | None = None,
    write: Write,
) -> int:
    """Run flow tests and write a line for each case, then `N passed, M failed`. Return the exit status: 1 on a failure.

    Raises InvalidArgument for a path that does not exist, and if there is no case to run.
    """
    report = run_paths(paths, keyword=keyword, on_verdict=lambda verdict: write(str(verdict)), runner=runner)
    if junit is not None:
        report.write_junit(junit)
    if not report.verdicts:
        raise InvalidArgument(f"no case has {keyword!r} in its name or file name")
    write(report.summary)
    return 1 if report.failed else 0


test.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it by its name


def simulate(
    flow: str | os.PathLike[str],
    input: JsonObject | None = None,
    *,
    script: str | Path | None = None,
    functions: Functions | Mapping[str, Source] | None = None,
    ask: Ask | None = None,
    until: float | None = None,
    mask: Mask | None = None,
    write: Write,
) -> RunResult:
    """Run one flow and draw the run.

    Replies come from `script`, a YAML file with `functions` and `at` as in a case; else from `functions`, as in
    `run_flow`; else from `ask`. `mask` says which values are not printed. Raises DefinitionError, and InvalidArgument
    also if `ask` gives no reply.
    """
    loaded = load_flow(flow)
    name = Path(flow).name.split(".")[0]
    if script is not None:
        replies, stimuli = load_script(script)
        run = VirtualRun(loaded, input, functions=replies, stimuli=stimuli, flow_name=name)
    elif functions is not None:
        run = VirtualRun(loaded, input, functions=functions, flow_name=name)
    else:
        run = VirtualRun(loaded, input, functions={} if ask is None else _asking(loaded, ask, mask), flow_name=name)
    try:
        result = run.run(until)
    except NoReply as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from None
        raise InvalidArgument(str(error)) from error
    write(draw(_masked(result, mask)))
    return result


def _masked(result: RunResult, mask: Mask | None) -> RunResult:
    hider = Hider(mask)
    hider.learn(result.output, *(event.detail for event in result.history))
    return replace(
        result,
        output=hider.value(result.output),
        error=None if result.error is None else hider.text(result.error),
        cause=None if result.cause is None else hider.text(result.cause),
        history=tuple(replace(event, detail=hider.value(event.detail)) for event in result.history),
        refused=tuple(map(hider.text, result.refused)),
    )


def _asking(flow: Flow, ask: Ask, mask: Mask | None) -> dict[str, Source]:
    steps = [step for series in flow.series.values() for step in series.steps if isinstance(step, TaskStep)]
    return {step.resource.arn: _asker(step.resource.arn, ask, mask) for step in steps}


def _asker(name: str, ask: Ask, mask: Mask | None) -> Source:
    def reply(input: JsonObject, context: object) -> Reply:
        question = f"{name} is called with {json_text(Hider(mask).value(input))}\n  {REPLY_FORMS}: "
        while True:
            try:
                return _reply_of(ask(question).strip())
            except OSError as error:
                # An error of the terminal, such as a closed pipe, is not an error of the function.
                raise NoReply(str(error)) from error
            except EOFError:
                raise NoReply(f"no reply was given for {name}, so the run cannot continue") from None
            except (DefinitionError, InvalidArgument) as error:
                question = f"  {error}\n  reply: "

    return reply


def _reply_of(text: str) -> Reply:
    """Return the reply that was typed. Raises DefinitionError and InvalidArgument, with the correct forms."""
    if text == "lost":
        return Reply(lost=True)
    if text.startswith("!"):
        error, _, cause = text[1:].strip().partition(" ")
        if not error:
            raise InvalidArgument("the error is missing; write `! ERROR CAUSE`, such as `! FC.Timeout too slow`")
        return Reply(raises=TaskError(error, cause.strip()))
    value = read_yaml(text, path="the reply") if text else {}
    if not isinstance(value, dict):
        raise InvalidArgument(f"that is not a reply; write {REPLY_FORMS}")
    return Reply(value)
