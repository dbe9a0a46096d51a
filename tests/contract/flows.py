"""Small flows for contract tests."""

TASK = """
version: v1
type: flow
steps:
  - {type: task, name: Call, resourceArn: "acs:fc:::services/s/functions/call"}
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
