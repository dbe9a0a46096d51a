"""Which decision a claimed frame commits next: that of the event alone, or with the inline steps after it."""

from __future__ import annotations

from dataclasses import dataclass

from pollflow.fdl import Flow
from pollflow.machine import INLINE, ONLY_WAITS, Decision, Event, Limits, decide, decide_inline
from pollflow.store import Claimed


@dataclass(frozen=True, slots=True)
class Decider:
    """Decides by the limits. `inline_steps` holds for flows that do not say it themselves."""

    limits: Limits
    inline_steps: bool

    def decide(self, flow: Flow, claimed: Claimed, event: Event, *, is_alone: bool) -> Decision:
        """Return what follows from the event. `is_alone`: without inline steps."""
        if is_alone:
            return decide(flow, claimed.state, event, info=claimed.info, limits=self.limits)
        is_inline = self.inline_steps if flow.inline_steps is None else flow.inline_steps
        # The numbers of later events are certain only after the commit, so a mapping could read wrong ones.
        types = INLINE if is_inline and not flow.uses_event_ids else ONLY_WAITS
        return decide_inline(
            flow, claimed.state, event, info=claimed.info, limits=self.limits, at=claimed.at, types=types
        )
