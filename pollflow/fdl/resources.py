"""What a task's `resourceArn` or `action` names. An ARN of no known form is a service that functions may stand for."""

from __future__ import annotations

import re

from pollflow.fdl.model import FlowResource, FunctionResource, Resource, ServiceResource

START_EXECUTION = "fnf:StartExecution"
_FUNCTION = re.compile(r"acs:fc:[^:]*:[^:]*:services/([^/.:]+)(?:\.[^/:]*)?/functions/([^/:]+)")
_FLOW = re.compile(r"acs:fnf:[^:]*:[^:]*:flow/([^/:]+)")


def parse_arn(arn: str) -> Resource:
    """The resource under a `resourceArn`; region and account may be empty or placeholders."""
    function = _FUNCTION.fullmatch(arn)
    if function is not None:
        return FunctionResource(arn, function[1], function[2])
    flow = _FLOW.fullmatch(arn)
    if flow is not None:
        return FlowResource(arn, flow[1])
    return ServiceResource(arn, takes_params=arn.startswith("acs:mns:"))


def parse_action(action: str) -> Resource:
    """The resource under an `action`: a sub-flow's start, or an operation that takes its `serviceParams`."""
    if action == START_EXECUTION:
        return FlowResource(action, None)
    return ServiceResource(action, takes_params=True)
