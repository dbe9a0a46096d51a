"""`StepRefused`: why a step cannot continue."""

from __future__ import annotations


class StepRefused(Exception):
    """A step cannot continue. Holds an error name and a cause; no `catch` applies to it."""

    def __init__(self, error: str, cause: str) -> None:
        self.error = error
        self.cause = cause
        super().__init__(f"{error}: {cause}")
