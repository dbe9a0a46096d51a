"""Definitions that are as large as a limit permits in one dimension, and an ordinary one to compare them with."""

from __future__ import annotations

from collections.abc import Callable

from pollflow.fdl.reader import MAX_BYTES, MAX_NODES, read_nodes

HEAD = "version: v1\ntype: flow\nsteps:\n"
CHOICE = "- type: choice\n  name: c\n  choices:\n"
MAPPED = "- type: pass\n  name: p\n  outputMappings:\n"
VALUE = "- {type: pass, name: p, outputMappings: [{target: t, source: "
TASK = "- type: task\n  name: t\n  resourceArn: f\n"
MARK, MARKS = "\u0301", "\u0301\u0316"
SIMILAR = "a-step-with-a-name-like-that-of-all-others-"
BRANCH = "  - {steps: [{type: wait, name: a, duration: 0.1}]}\n"
BACK = "- {type: choice, name: back, choices: [{condition: '$.a == 1', goto: n0}]}\n"
_MARGIN = 2000
"""Values that are left for the head and the tail of a definition."""

Make = Callable[[int], str]
Item = Callable[[int], str]


def filled(head: str, item: Item, *, tail: str = "", most: int = 1 << 30) -> Make:
    """Return a maker of definitions with as many items as the size, the values and `most` permit."""

    def make(size: int) -> str:
        bytes_left = size - len((head + tail).encode())
        nodes_left = (MAX_NODES - _MARGIN) * size // MAX_BYTES if size < MAX_BYTES else MAX_NODES - _MARGIN
        each = max(1, _nodes(head + item(0) + item(1) + tail) - _nodes(head + item(0) + tail))
        parts = []
        for number in range(min(most, nodes_left // each)):
            text = item(number)
            bytes_left -= len(text.encode())
            if bytes_left < 0:
                break
            parts.append(text)
        return head + "".join(parts) + tail

    return make


def _nodes(text: str) -> int:
    root = read_nodes(text, "")[0]
    return 0 if root is None else root.size


def repeated(head: str, text: str, tail: str) -> Make:
    """Return a maker of definitions in which a text is repeated up to the size."""
    return lambda size: head + text * ((size - len((head + tail).encode())) // len(text.encode())) + tail


def nested(inner: str, outer: str, depth: int) -> str:
    """Return a step with `depth` others around it. `outer` has `%s` for the inner step."""
    for _ in range(depth):
        inner = outer % inner
    return inner


def complete(step: str, edge: str) -> Make:
    """Return a maker of definitions whose steps all lead to one another."""

    def make(size: int) -> str:
        count = int((min(size, MAX_BYTES) / MAX_BYTES * 90_000 / 7) ** 0.5)
        edges = ", ".join(edge % number for number in range(count))
        return HEAD + "".join(step % (number, edges) for number in range(count))

    return make


def chain(item: Item, *, most: int) -> Make:
    """Return a maker of a loop of many steps."""
    return filled(HEAD, item, tail=BACK, most=most)


def ordinary(size: int) -> str:
    """Return a definition of ordinary steps with about this number of bytes."""
    return filled(
        HEAD,
        lambda n: (
            f"""- type: task
  name: Submit order {n} to the service
  resourceArn: acs:fc:::services/orders-of-customers/functions/submit-an-order
  timeoutSeconds: 30
  inputMappings:
  - {{target: id, source: $input.id}}
  outputMappings:
  - {{target: job{n % 7}, source: $local.job}}
  retry:
  - {{errors: [FC.Unknown], intervalSeconds: 3, maxAttempts: 3, multiplier: 2}}
- type: wait
  name: Pause {n}
  duration: 5
- type: choice
  name: Check the result {n}
  inputMappings:
  - {{target: status, source: $local.job{n % 7}}}
  choices:
  - {{condition: '$.status == "done"', goto: End {n}}}
  - {{condition: '$.status == "waiting"', goto: Pause {n}}}
- type: pass
  name: End {n}
"""
        ),
    )(size)


def wrong_targets(size: int) -> str:
    """Return 7,000 similar names and 100 targets that no step has, at the largest size."""
    names = filled(HEAD, lambda n: f"- {{type: pass, name: {SIMILAR * 2}{n:05}-after}}\n")(size * 9 // 10)
    wrong = [f"- {{type: choice, name: c{n}, default: {{goto: {SIMILAR * 2}x{n:05}-after}}}}\n" for n in range(100)]
    return names + "".join(wrong)


def keys_read(size: int) -> str:
    """Return many keys in an input, and many reads of keys that it does not have."""
    head = filled(HEAD + "- type: pass\n  name: p\n  inputMappings:\n", lambda n: f"  - {{target: a{n}, source: 1}}\n")
    reads = filled("", lambda n: f"  - {{target: b{n}, source: $input.c{n}}}\n")
    return head(size // 2) + "  outputMappings:\n" + reads(size // 2)


def event_ids(size: int) -> str:
    """Return many keys with the number of events, and many conditions that compare others."""
    head = HEAD + "- type: choice\n  name: c\n  inputMappings:\n"
    ids = filled(head, lambda n: f"  - {{target: m{n}, source: $context.step.eventId}}\n")
    return ids(size // 2) + filled("  choices:\n", lambda n: f"  - {{condition: $.z{n} > 5, goto: c}}\n")(size // 2)


DEFINITIONS: dict[str, Make] = {
    # names
    "similar names, wrong targets": wrong_targets,
    "only wrong targets": filled(HEAD, lambda n: f"- {{type: choice, name: c{n}, default: {{goto: d{n}}}}}\n"),
    "look-alikes as targets": filled(
        HEAD, lambda n: f"- {{type: choice, name: e{MARK}{n}\uff1a, default: {{goto: '\u00e9{n} {MARK}:'}}}}\n"
    ),
    "a target of marks": repeated(
        HEAD + "- {type: pass, name: b}\n- {type: choice, name: a, default: {goto: 'a", MARKS, "'}}\n"
    ),
    "values of marks": filled(HEAD, lambda n: f"- {{type: wait, name: a{n}, duration: 'a{MARKS * 400}'}}\n"),
    "types of marks": filled(HEAD, lambda n: f"- {{type: \uff21{MARKS * 400}, name: 'x{n}'}}\n"),
    "one name": filled(HEAD, lambda n: "- {type: pass, name: a}\n"),
    "names of other series": filled(
        HEAD,
        lambda n: (
            f"- {{type: foreach, name: f{n}, iterationMapping: {{collection: $.a, item: i}}, "
            "steps: [{type: fail, name: a, error: $input.x}, {type: pass, name: b}]}\n"
        ),
    ),
    # steps and depth
    "steps": filled(HEAD, lambda n: f"- {{type: pass, name: a{n}}}\n", most=9999),
    "unreachable steps": filled(HEAD, lambda n: f"- {{type: pass, name: a{n}, end: true}}\n", most=9999),
    "nested choices in a loop": filled(
        HEAD,
        lambda n: (
            nested(
                "{type: wait, name: x, duration: 0.5}",
                "{type: choice, name: f, choices: [{condition: $.a, steps: [%s]}]}",
                14,
            )
            .join(["- ", "\n"])
            .replace("name: f", f"name: n{n}", 1)
        ),
        tail=BACK,
    ),
    "nested foreach": filled(
        HEAD,
        lambda n: (
            nested(
                "{type: pass, name: x}",
                "{type: foreach, name: f, iterationMapping: {collection: $.l, item: i}, steps: [%s]}",
                15,
            )
            .join(["- ", "\n"])
            .replace("name: f", f"name: n{n}", 1)
        ),
    ),
    "nested branches": filled(
        HEAD,
        lambda n: (
            nested(
                "{type: pass, name: x}",
                "{type: parallel, name: f, branches: [{steps: [%s]}, {steps: [{type: pass, name: y}]}]}",
                14,
            )
            .join(["- ", "\n"])
            .replace("name: f", f"name: n{n}", 1)
        ),
    ),
    "branches": filled(HEAD, lambda n: f"- type: parallel\n  name: n{n}\n  branches:\n{BRANCH * 99}", tail=BACK),
    # graphs
    "all choices lead to all": complete(
        "- {type: choice, name: n%d, choices: [%s]}\n", "{condition: $.a > 1, goto: n%d}"
    ),
    "all catches lead to all": complete(
        "- {type: task, name: n%d, resourceArn: f, catch: [%s]}\n", "{errors: [e], goto: n%d}"
    ),
    "diamonds in a loop": chain(
        lambda n: (
            f"- {{type: choice, name: n{n}, choices: [{{condition: $.a, steps: [{{type: pass, name: x}}]}}, "
            "{condition: $.b, steps: [{type: pass, name: y}]}], default: {steps: [{type: pass, name: z}]}}\n"
        ),
        most=2400,
    ),
    "a loop of all steps": chain(lambda n: f"- {{type: wait, name: n{n}, duration: 0.1}}\n", most=9990),
    "loops to the first step": filled(
        HEAD, lambda n: f"- {{type: choice, name: n{n}, choices: [{{condition: $.a, goto: n0}}]}}\n"
    ),
    "loops of one step": filled(
        HEAD, lambda n: f"- {{type: choice, name: n{n}, choices: [{{condition: $.a, goto: n{n}}}]}}\n"
    ),
    "loops of 100 and 1000 steps": filled(
        HEAD,
        lambda n: (
            f"- {{type: choice, name: n{n}, choices: [{{condition: $.a, goto: n{max(0, n - 100)}}}, "
            f"{{condition: $.b, goto: n{max(0, n - 1000)}}}]}}\n"
        ),
    ),
    "a loop with costly steps": filled(
        HEAD, lambda n: f"- type: parallel\n  name: n{n}\n  branches:\n{BRANCH * 20}", tail=BACK, most=450
    ),
    "keys set on 500 steps": filled(
        HEAD,
        lambda n: (
            f"- {{type: pass, name: n{n}, inputMappings: [{{target: a, source: $local.k{n - 1}}}], "
            f"outputMappings: [{', '.join(f'{{target: k{n}_{i}, source: 1}}' for i in range(30))}]}}\n"
        ),
        most=500,
    ),
    "keys read in a loop of 500 steps": chain(
        lambda n: (
            f"- {{type: pass, name: n{n}, inputMappings: [{{target: a, source: $local.j{n}}}], "
            f"outputMappings: [{{target: k{n}, source: 1}}]}}\n"
        ),
        most=499,
    ),
    "keys merged in each step": filled(
        HEAD, lambda n: f"- {{type: pass, name: n{n}, outputMappings: [{{target: k{n}, source: $input.b}}]}}\n"
    ),
    # conditions and mappings
    "conditions": filled(HEAD + CHOICE, lambda n: f"  - {{condition: $.a == {n}, goto: c}}\n"),
    "long conditions": filled(HEAD + CHOICE, lambda n: f"  - {{condition: '{'1+' * 2000}1 > 2', goto: c}}\n"),
    "long conditions of paths": filled(HEAD + CHOICE, lambda n: f"  - {{condition: '{'$.a&&' * 800}$.b', goto: c}}\n"),
    "deep conditions": filled(HEAD + CHOICE, lambda n: f"  - {{condition: '{'(' * 49}$.a{')' * 49}', goto: c}}\n"),
    "wrong conditions": filled(HEAD + CHOICE, lambda n: f"  - {{condition: '{'1+' * 2000}', goto: c}}\n"),
    "short wrong conditions": filled(HEAD + CHOICE, lambda n: "  - {condition: '=', goto: c}\n"),
    "statuses in a loop": filled(
        HEAD + "- {type: wait, name: w, duration: 5}\n" + CHOICE,
        lambda n: f"  - {{condition: '$.a == \"s{n}\"', goto: w}}\n",
    ),
    "numbers of events": event_ids,
    "mappings of one target": filled(HEAD + MAPPED, lambda n: "  - {target: a, source: $local.a}\n"),
    "mappings": filled(HEAD + MAPPED, lambda n: f"  - {{target: a{n}, source: $local.b{n}}}\n"),
    "keys that are missing": keys_read,
    "long paths": filled(HEAD + MAPPED, lambda n: f"  - {{target: a, source: '$local{'[*]' * 1300}'}}\n"),
    "wrong paths": filled(HEAD + MAPPED, lambda n: "  - {target: a, source: $local..}\n"),
    "parameters": filled(HEAD + TASK + "  serviceParams:\n    a: [", lambda n: "$.a.b, ", tail="]\n"),
    "parameters in depth": filled(
        HEAD + TASK + "  serviceParams: " + "{aaaaaaaaaaaaaaaaaa: " * 50 + "[",
        lambda n: "$input.b, ",
        tail="]" + "}" * 50,
    ),
    "parameters by key": filled(HEAD + TASK + "  serviceParams: {", lambda n: f"k{n}: $input.b, ", tail="}\n"),
    "parameters below a long key": lambda size: filled(
        f"{HEAD}{TASK}  serviceParams:\n    ? {'k' * (size // 3)}\n    : [", lambda n: "$input.b, ", tail="]\n"
    )(size),
    "parameters below long keys": filled(
        HEAD + TASK + "  serviceParams: " + f"{{{'a' * 100}: " * 50 + "[",
        lambda n: "$input.b, ",
        tail="]" + "}" * 50,
    ),
    "a duration of many parts": repeated(HEAD + "- {type: wait, name: a, duration: '", "1s", "'}\n"),
    "retries": filled(HEAD + TASK + "  retry:\n", lambda n: "  - {errors: [FnF.Timeou], intervalSeconds: 1}\n"),
    "catches": filled(HEAD + TASK + "  catch:\n", lambda n: "  - {errors: [FnF.ALLL], goto: t}\n"),
    "errors": filled(HEAD + TASK + "  catch:\n  - goto: t\n    errors: [", lambda n: f"FC.Unknwn{n},", tail="]\n"),
    "functions": filled(
        HEAD, lambda n: f"- {{type: task, name: a{n}, resourceArn: 'acs:fc:::services/{SIMILAR}/functions/f{n}'}}\n"
    ),
    # problems
    "unknown fields": filled(HEAD + "- {type: pass, name: a}\n", lambda n: f"inputMaping{n}: 1\n"),
    "unknown fields of steps": filled(HEAD, lambda n: f"- {{type: pass, name: a{n}, outputMapings: 1, en: true}}\n"),
    "missing fields": filled(HEAD, lambda n: "- {}\n"),
    "wrong types": filled(HEAD, lambda n: f"- {{type: tsak, name: a{n}}}\n"),
    "wrong mappings": filled(HEAD + MAPPED, lambda n: "  - {}\n"),
    "repeated keys": filled(HEAD + "- {type: pass, name: a}\n", lambda n: "a: 1\n"),
    "unknown tags": filled(HEAD + VALUE + "[", lambda n: "!a 1,", tail="]}]}\n"),
    "an error at the end": lambda size: ordinary(size) + "}",
    # YAML
    "comments": repeated(HEAD + "- {type: pass, name: a}\n", "#\n", ""),
    "a long scalar": repeated(HEAD + VALUE + "'$", "a.[", "'}]}\n"),
    "a folded scalar": repeated(HEAD + VALUE + "'", "x\n\n   ", "'}]}\n"),
    "a scalar of pairs": repeated(HEAD + VALUE + '"', "\\ud83d\\ude00", '"}]}\n'),
    "values for the slow parser": filled(HEAD + VALUE + '["\\ud83d\\ude00", ', lambda n: "1,", tail="]}]}\n"),
    "lists": filled(HEAD + VALUE + "[", lambda n: "[],", tail="]}]}\n"),
    "deep lists": filled(HEAD + VALUE + "[", lambda n: "[" * 55 + "]" * 55 + ",", tail="]}]}\n"),
    "keys": filled(HEAD + VALUE + "{", lambda n: f"k{n}: 1, ", tail="}}]}\n"),
    "a long key": repeated(HEAD + VALUE + "{? ", "k", "\n : 1}}]}\n"),
    "aliases to a value": filled(HEAD + VALUE + "[&a [1],", lambda n: "*a,", tail="]}]}\n"),
    "aliases to steps": filled(
        HEAD + f"- &b {{type: parallel, name: p, branches: [{BRANCH.strip(' -')}]}}\n".replace("\n]", "]"),
        lambda n: f"- {{<<: *b, name: n{n}}}\n",
    ),
    "aliases to conditions": filled(
        HEAD + CHOICE + f"  - {{condition: &c '{'1+' * 2000}1 > 2', goto: c}}\n",
        lambda n: "  - {condition: *c, goto: c}\n",
        most=15,
    ),
    "merged keys": filled(
        HEAD + VALUE + "[&a {" + ", ".join(f"k{n}: 1" for n in range(30)) + "},", lambda n: "{<<: *a},", tail="]}]}\n"
    ),
    "anchors": filled(HEAD + VALUE + "[", lambda n: f"&a{n} 1,", tail="]}]}\n"),
    "integers": filled(HEAD + VALUE + "[", lambda n: "9" * 1000 + ",", tail="]}]}\n"),
    "decimals": repeated(HEAD + VALUE + "1.", "9", "}]}\n"),
    "times": filled(HEAD, lambda n: f"- {{type: wait, name: a{n}, timestamp: 2026-01-31T12:00:0{'0' * 300}Z}}\n"),
    "tabs in JSON": filled(
        '{"version": "v1", "type": "flow", "steps": [', lambda n: f'{{"type":\t"pass", "name":\t"a{n}"}},\t', tail="]}"
    ),
}
