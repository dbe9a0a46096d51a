"""The fields and step types that a wrong word probably stands for: common synonyms first, then similar spellings.

A suggestion is always one of the names that the caller passes, such as the fields that a step type has and that are
still missing.
"""

from __future__ import annotations

from collections.abc import Collection

from pollflow.suggestions import near

_CUTOFF = 0.7
"""The least similarity of a suggested field. With less, `seconds` suggests `end`."""
_MAX_WORD = 100

_FIELDS: dict[str, str] = {
    "resourceArn": "resource arn function functionname func fn call callable lambda handler service task uri uses run",
    "action": "operation api apicall command",
    "pattern": "mode waitfor integration",
    "timeoutSeconds": "timeout timelimit timeoutsec deadline seconds maxseconds heartbeatseconds",
    "serviceParams": "parameters params param args arguments kwargs with payload body",
    "retry": "retries retrier retryon onretry",
    "catch": "except rescue onerror onfailure catcher handlers",
    "errorMappings": "errormapping erroroutput",
    "inputMappings": "input inputs inputparameters inputpath in vars",
    "outputMappings": "output outputs result resultpath results outputpath out assign set",
    "end": "last final terminal isend stop",
    "duration": "seconds second sec secs sleep delay wait for time period interval minutes ms milliseconds waitseconds",
    "timestamp": "until at time date datetime when waituntil",
    "choices": "conditions options cases rules branches switch when if",
    "default": "else otherwise fallback defaultchoice",
    "branches": "steps tasks parallel branch children",
    "steps": "do tasks states body then run series iterator",
    "iterationMapping": "items collection list each over iterate in loop itemspath withitems iteration",
    "error": "code errorname name errortype exception",
    "cause": "message reason text description errormessage",
    "target": "key to name field dest destination",
    "source": "from value path src expression",
    "condition": "if when test expression expr cond variable",
    "goto": "next then to target jump",
    "collection": "items list over in path source array",
    "item": "as var element value variable name",
    "index": "key position i idx counter",
    "errors": "error errorequals exceptions on names types",
    "intervalSeconds": "interval delay wait seconds backoff delayseconds initialinterval",
    "maxAttempts": "attempts max maxretries retries count times limit tries",
    "multiplier": "backoffrate factor rate backofffactor exponent",
    "maxIntervalSeconds": "maxinterval maxdelay maxdelayseconds cap maximuminterval",
    "inlineSteps": "inline inlined",
    "name": "id title label",
    "type": "kind",
    "version": "fdl fdlversion",
}
_TYPES: dict[str, str] = {
    "task": "function call lambda service activity action resource job",
    "pass": "noop set assign nop",
    "wait": "sleep delay pause timer",
    "choice": "switch if branch condition decision",
    "parallel": "fork concurrent branches all",
    "foreach": "map loop iterate for each iterator",
    "succeed": "success end return done stop exit",
    "fail": "error raise throw failure abort",
}


def similar_field(word: str, fields: Collection[str]) -> str | None:
    """Return the field among `fields` that the word probably stands for; None if there is none."""
    return _similar(word, fields, _FIELDS)


def similar_type(word: str, types: Collection[str]) -> str | None:
    """Return the step type that the word probably stands for; None if there is none."""
    return _similar(word, types, _TYPES)


def _similar(word: str, known: Collection[str], synonyms: dict[str, str]) -> str | None:
    plain = _plain(word[:_MAX_WORD])
    by_plain = {_plain(name): name for name in known}
    if plain in by_plain:
        return by_plain[plain]
    for name in known:
        if plain in synonyms.get(name, "").split():
            return name
    found = near(plain, by_plain, cutoff=_CUTOFF)
    return by_plain[found] if found is not None else None


def _plain(word: str) -> str:
    """Return the word in lower case without `_`, `-` and blanks: `max_attempts` is `maxattempts`."""
    return "".join(char for char in word.lower() if char not in "_- ")
