"""The CPU time and memory that definitions cost: `python -m tests.hostile.measuring BYTES NAME...` prints them as JSON.

Each definition is read and linted in a process of its own, forked from one that has imported and compiled everything.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from dataclasses import asdict, dataclass

from pollflow.errors import DefinitionError
from pollflow.fdl import lint, read_flow
from tests.hostile.definitions import BACK, DEFINITIONS, HEAD, ordinary

ORDINARY = "an ordinary definition"
FUNCTIONS = [f"orders/function-{number}" for number in range(50)]
_CPU_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Cost:
    """The costs of a definition. `codes` are those of its problems."""

    size: int
    seconds: float
    memory_bytes: int
    codes: list[str]


def measured(text: str) -> Cost:
    """Read and lint a definition in this process."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    try:
        problems = lint(read_flow(text), known_functions=FUNCTIONS)
    except DefinitionError as error:
        problems = error.problems
    seconds = time.process_time() - started
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return Cost(len(text.encode()), seconds, memory, sorted({problem.code for problem in problems}))


def main(size: int, names: list[str]) -> None:
    """Print the costs of each definition, one a line; nothing for one that ended its process."""
    measured(HEAD + BACK.replace("n0", "back"))  # compiles the grammars
    for name in names:
        if (child := os.fork()) == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
            make = ordinary if name == ORDINARY else DEFINITIONS[name]
            sys.stdout.write(json.dumps({"name": name, **asdict(measured(make(size)))}) + "\n")
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
