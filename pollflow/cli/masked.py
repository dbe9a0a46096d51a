"""Executions as commands print them: with the secrets in their data masked.

Commands read a `MaskedExecution` in place of the client's, so a new view of executions shows no secret by default.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from pollflow.client import Execution, HistoryEntry, OpenStep
from pollflow.errors import PollflowError
from pollflow.runtime.masking import Hider

_LAST_EVENTS = 50


@dataclass(frozen=True, slots=True, eq=False)
class MaskedExecution(Execution):
    """An execution whose data, errors and events are masked."""

    hider: Hider = field(repr=False, kw_only=True)

    def refresh(self) -> Execution:
        """Return the execution as it is now, masked."""
        return masked(Execution.refresh(self), self.hider)

    def events(self, after: int = 0) -> Iterator[HistoryEntry]:
        """Yield its events, masked."""
        for event in Execution.events(self, after):
            self.hider.learn(event.detail)
            yield replace(
                event,
                step=self.hider.text(event.step),
                detail=self.hider.value(event.detail),
                by=self.hider.text(event.by),
                reason=self.hider.text(event.reason),
            )


def masked(execution: Execution, hider: Hider) -> MaskedExecution:
    """Return the execution, masked. The hider is for this execution alone."""
    found = execution.description
    hider.learn(found.input, found.output)
    if found.cause:
        _learn_last_events(execution, hider)
    description = replace(
        found,
        input=hider.value(found.input),
        output=hider.value(found.output),
        error=None if found.error is None else hider.text(found.error),
        cause=None if found.cause is None else hider.text(found.cause),
        open_steps=tuple(_masked_step(step, hider) for step in found.open_steps),
    )
    return MaskedExecution(
        description, execution.is_new, _container=execution._container, _by=execution._by, hider=hider
    )


def _learn_last_events(execution: Execution, hider: Hider) -> None:
    """Let the hider learn the data of the steps before the end, which the cause may repeat."""
    with suppress(PollflowError):  # it was purged, or a record is damaged
        for event in Execution.events(execution, max(0, execution.description.events - _LAST_EVENTS)):
            hider.learn(event.detail)


def _masked_step(step: OpenStep, hider: Hider) -> OpenStep:
    def shown(text: str | None) -> str | None:
        return None if text is None else hider.text(text)

    return replace(step, name=hider.text(step.name), last_error=shown(step.last_error), reason=shown(step.reason))
