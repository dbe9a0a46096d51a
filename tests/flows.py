"""Small flows that several tests use."""

TASK = """
version: v1
type: flow
steps:
  - {type: task, name: Call, resourceArn: "acs:fc:::services/s/functions/call"}
"""

ASK = """
version: v1
type: flow
steps:
  - type: task
    name: Call
    resourceArn: acs:fc:::services/s/functions/call
    pattern: waitForCallback
"""

TIMED_TASK = """
version: v1
type: flow
steps:
  - {type: task, name: Call, resourceArn: "acs:fc:::services/s/functions/call", timeoutSeconds: 10}
"""

WAIT = """
version: v1
type: flow
steps:
  - {type: wait, name: Wait, duration: $.seconds}
  - {type: pass, name: After}
"""

LOOP = """
version: v1
type: flow
steps:
  - {type: pass, name: Before}
  - {type: wait, name: Wait, duration: 5}
  - {type: task, name: Status, resourceArn: "acs:fc:::services/s/functions/status"}
  - {type: choice, name: Check, choices: [{condition: "!$.done", goto: Wait}]}
"""

PASSES = """
version: v1
type: flow
steps:
  - {type: pass, name: A}
  - {type: pass, name: B}
"""

EACH = """
version: v1
type: flow
steps:
  - type: foreach
    name: Each
    iterationMapping: {collection: $.items, item: item, index: i}
    steps:
      - {type: task, name: Call, resourceArn: "acs:fc:::services/s/functions/call"}
    outputMappings: [{target: all, source: "$local[*].v"}]
"""

EACH_PASS = """
version: v1
type: flow
steps:
  - type: foreach
    name: Each
    iterationMapping: {collection: $.items, item: item}
    steps:
      - {type: pass, name: Look}
"""

BRANCHES = """
version: v1
type: flow
steps:
  - type: parallel
    name: Both
    branches:
      - steps: [{type: task, name: Left, resourceArn: "acs:fc:::services/s/functions/left"}]
      - steps: [{type: wait, name: Right, duration: 100}]
"""

CALLBACK = """
version: v1
type: flow
steps:
  - type: task
    name: Ask
    resourceArn: acs:fc:::services/s/functions/ask
    pattern: waitForCallback
    timeoutSeconds: 100
    inputMappings: [{target: token, source: $context.task.token}]
"""

RETRIES = """
version: v1
type: flow
steps:
  - type: task
    name: Call
    resourceArn: acs:fc:::services/s/functions/call
    retry: [{errors: [Busy], intervalSeconds: 10, maxAttempts: 2}]
"""

# Format arguments: the pattern and the name of the sub-flow.
PARENT = """
version: v1
type: flow
steps:
  - type: task
    name: Sub
    resourceArn: acs:fnf:::flow/child
    pattern: {pattern}
    serviceParams: {{Input: {{seconds: $.seconds, n: 1}}, ExecutionName: {name}}}
    catch: [{{errors: [FnF.ALL], goto: caught}}]
    errorMappings: [{{target: error, source: $local.error}}, {{target: cause, source: $local.cause}}]
  - {{type: succeed, name: done}}
  - {{type: pass, name: caught}}
"""

MAP_PARENT = """
version: v1
type: flow
steps:
  - type: foreach
    name: Each
    iterationMapping: {collection: $.items, item: item}
    steps:
      - type: task
        name: Sub
        resourceArn: acs:fnf:::flow/child
        pattern: sync
        serviceParams: {Input: {seconds: 100000}}
"""

CALLBACK_PARENT = """
version: v1
type: flow
steps:
  - type: task
    name: Sub
    resourceArn: acs:fnf:::flow/child
    pattern: waitForCallback
    serviceParams: {Input: {seconds: 1000}, ExecutionName: kid}
"""

TIMED_PARENT = PARENT.replace("    catch:", "    timeoutSeconds: 10\n    catch:")
RETRYING_PARENT = TIMED_PARENT.replace(
    "    catch:", "    retry: [{{errors: [FnF.TaskTimeout], intervalSeconds: 1, maxAttempts: 3}}]\n    catch:"
)
CONTINUING_PARENT = TIMED_PARENT.replace(
    "  - {{type: pass, name: caught}}", "  - {{type: wait, name: caught, duration: 50000}}"
)

CAUGHT_TIMEOUT = """
version: v1
type: flow
steps:
  - type: task
    name: Call
    resourceArn: acs:fc:::services/s/functions/call
    timeoutSeconds: 10
    catch: [{errors: [FnF.TaskTimeout], goto: late}]
  - {type: succeed, name: done}
  - {type: pass, name: late, outputMappings: [{target: v, source: late}]}
"""
