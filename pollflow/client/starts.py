"""The parts of `Client.start_many`: its arguments, the descriptions of what was started, and its errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING

from pollflow.client.description import Description, describe, describe_all, describe_started
from pollflow.errors import InvalidArgument, PollflowError
from pollflow.runtime import arguments
from pollflow.runtime.container import Container
from pollflow.store import Started

if TYPE_CHECKING:
    from pollflow.client.execution import Execution

_READ_AT_ONCE = 500


def unique_names(names: Iterable[str], number: int) -> list[str]:
    """Return the names of `number` executions. Raises InvalidArgument for an invalid or repeated one."""
    found: dict[str, int] = {}
    for index, value in enumerate(arguments.items("names", names, (object,), "a collection of names")):
        name = arguments.name(f"names[{index}]", value)
        if found.setdefault(name, index) != index:
            raise InvalidArgument(f'names[{index}] is "{name}", as names[{found[name]}] is; each name must be unique')
    if len(found) != number:
        raise InvalidArgument(f"names must have a name for each of the {number:,} inputs, not {len(found):,}")
    return list(found)


def descriptions_of(
    container: Container, starts: Iterable[tuple[int, Started]]
) -> Iterator[tuple[int, Description, bool]]:
    """Yield index and description of each start, and whether it is new: first the new ones, then those that existed.

    Raises ExecutionNotExists if one was purged meanwhile.
    """
    existing: dict[int, Started] = {}
    for index, started in starts:
        if started.snapshot is None:
            existing[index] = started
        else:
            yield index, describe_started(container, started), True
    left = iter(existing.items())
    while slice := dict(islice(left, _READ_AT_ONCE)):
        refs = [started.key.ref for started in slice.values()]
        read = {description.key.ref: description for description in describe_all(container, refs)}
        for index, started in slice.items():
            ref = started.key.ref
            yield index, read[ref] if ref in read else describe(container, ref), started.is_new


def note_started(error: PollflowError, started: Mapping[int, Execution], number: int) -> None:
    """Add to an error which of `number` executions are known to be started."""
    if started:
        error.started = dict(started)
        error.args = (f"{error}; {len(started):,} of {number:,} executions are known to be started",)
