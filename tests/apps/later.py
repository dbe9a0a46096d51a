"""The app of `tests.apps.jobs` as a later release would run it: it writes states of the next layout, and reads both."""

from __future__ import annotations

from pollflow.machine import FrameState
from pollflow.store import records, transitions

LATER = records.LAYOUT + 1
_of_now = records.load_state


def load_state(frame: str, text: str) -> FrameState:
    return _of_now(frame, text.replace('{"v":1,', f'{{"v":{LATER},', 1))


records.LAYOUT = transitions.LAYOUT = LATER
records.load_state = transitions.load_state = load_state

from tests.apps.jobs import app  # noqa: E402

__all__ = ["app"]
