"""Parse the `resourceArn` or `action` of a task. An ARN of an unknown form is a service."""

from __future__ import annotations

import re

from pollflow.fdl.model import FlowResource, FunctionResource, Resource, ServiceResource

START_EXECUTION = "fnf:StartExecution"
_FUNCTION = re.compile(r"acs:fc:[^:]*:[^:]*:services/([^/.:]+)(?:\.[^/:]*)?/functions/([^/:]+)")
_FLOW = re.compile(r"acs:fnf:[^:]*:[^:]*:flow/([^/:]+)")


def parse_arn(arn: str) -> Resource:
    """Return the resource of a `resourceArn`; region and account may be empty or placeholders."""
    function = _FUNCTION.fullmatch(arn)
    if function is not None:
        return FunctionResource(arn, function[1], function[2])
    flow = _FLOW.fullmatch(arn)
    if flow is not None:
        return FlowResource(arn, flow[1])
    return ServiceResource(arn, takes_params=arn.startswith("acs:mns:"))


def parse_action(action: str) -> Resource:
    """Return the resource of an `action`: a sub-flow, or an operation that takes its `serviceParams`."""
    if action == START_EXECUTION:
        return FlowResource(action, None)
    return ServiceResource(action, takes_params=True)
