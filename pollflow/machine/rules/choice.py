"""Choice: take the first option whose condition holds. Its steps run as a further level of the frame."""

from __future__ import annotations

from pollflow.fdl.expr import ExpressionError, Work
from pollflow.fdl.model import ChoiceStep, Option
from pollflow.machine.decision import Decision
from pollflow.machine.events import Arrived
from pollflow.machine.refused import StepRefused
from pollflow.machine.step_context import StepContext


def choose(ctx: StepContext, step: ChoiceStep, event: Arrived) -> Decision:
    """Enter the first matching option or the default; without either, continue in the series."""
    option = _option(ctx, step)
    return ctx.leave({}) if option is None else ctx.enter_option(option)


def _option(ctx: StepContext, step: ChoiceStep) -> Option | None:
    choice_input, work = ctx.input, Work()
    for option in step.choices:
        if option.condition is None:
            continue
        try:
            if option.condition.holds(choice_input, work):
                return option
        except ExpressionError as error:
            cause = f"condition {option.condition.text!r} of step {step.name!r}: {error}"
            raise StepRefused("FnF.RuntimeError", cause) from error
    return step.default
