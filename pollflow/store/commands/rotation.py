"""The script of key rotation. It makes no transition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pollflow.store.commands.base import Script, Stale
from pollflow.store.keys import ExecutionKey


@dataclass(frozen=True, slots=True)
class Change:
    """A stored text, as it was read and as it is to be: a field of a hash, or an element of a list by its index.

    `layout`: the new layout of a state.
    """

    name: str
    before: str
    after: str
    layout: int | None = None


@dataclass(frozen=True, slots=True)
class ResealDone:
    """How many texts were replaced; the others had changed."""

    NAME: ClassVar[str] = "done"
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reseal(Script[ResealDone | Stale]):
    """Replaces texts of one hash or list of an execution, each only if it has not changed."""

    NAME: ClassVar[str] = "reseal"
    KEYS: ClassVar[tuple[str, ...]] = ("execution", "target")
    REPLIES: ClassVar[tuple[type, ...]] = (Stale, ResealDone)
    execution: ExecutionKey
    is_list: bool
    changes: tuple[Change, ...]
