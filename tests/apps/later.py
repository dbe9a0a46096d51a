"""The app of `tests.apps.jobs` in a later release: it writes the next layout of states and reads both."""

from __future__ import annotations

from pollflow.machine import FrameState
from pollflow.store import commits, encode, records, state, transitions

THIS = state.LAYOUT
LATER = THIS + 1 + state.ENCODED  # the number between is that of an encoded state
_load_this_layout = state.load_state


def load_state(frame: str, layout: int, text: str) -> FrameState:
    return _load_this_layout(frame, LATER if layout in (THIS, LATER) else layout, text)


for module in (commits, encode, state, transitions):
    module.LAYOUT = LATER  # type: ignore[attr-defined]
for module in (records, transitions):
    module.load_state = load_state  # type: ignore[attr-defined]

from tests.apps.jobs import app  # noqa: E402

__all__ = ["app"]
