"""The private parts of Celery, kombu and billiard that pollflow uses exist; a missing part is named."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
from celery.worker import state
from celery.worker.request import Request

from pollflow import ConfigurationError
from pollflow.runtime.celery_internals import check_internals, is_stopped_greenlet


def test_the_installed_versions_have_every_part() -> None:
    check_internals()


def test_a_missing_part_of_celery_is_named_with_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(state, "active_requests")
    with pytest.raises(ConfigurationError, match=r"celery \d+\.\d+\.\d+ has no worker\.state\.active_requests"):
        check_internals()


def test_a_missing_attribute_of_requests_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Request, "time_start")
    with pytest.raises(ConfigurationError, match=r"worker\.request\.Request\.time_start"):
        check_internals()


class GreenletExit(BaseException):
    """That of gevent, which is not installed for these tests."""


class Timeout(BaseException):
    """That of gevent: `seconds` is its limit."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


def under_gevent(monkeypatch: pytest.MonkeyPatch, *, parent: object) -> None:
    greenlet = types.SimpleNamespace(parent=parent)
    gevent = types.SimpleNamespace(GreenletExit=GreenletExit, Timeout=Timeout, getcurrent=lambda: greenlet)
    monkeypatch.setitem(sys.modules, "gevent", gevent)


def in_task_of_gevent(limit: float, call: Callable[[], bool]) -> bool:
    """Make a call as Celery's gevent pool does for a task with a hard time limit."""
    scope: dict[str, Any] = {"__name__": "celery.concurrency.gevent"}
    exec("def apply_timeout(call, timeout): return call()", scope)  # noqa: S102  # a function of that module
    return bool(scope["apply_timeout"](call, limit))


def test_a_killed_greenlet_was_stopped_by_celery(monkeypatch: pytest.MonkeyPatch) -> None:
    under_gevent(monkeypatch, parent="the hub")
    assert is_stopped_greenlet(GreenletExit())
    assert not is_stopped_greenlet(SystemExit())


def test_the_main_greenlet_of_other_pools_is_never_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    under_gevent(monkeypatch, parent=None)
    assert not is_stopped_greenlet(GreenletExit())


def test_only_the_time_limit_of_the_task_is_celerys(monkeypatch: pytest.MonkeyPatch) -> None:
    under_gevent(monkeypatch, parent="the hub")
    assert in_task_of_gevent(5, lambda: is_stopped_greenlet(Timeout(5)))
    assert not in_task_of_gevent(5, lambda: is_stopped_greenlet(Timeout(1)))
    assert not is_stopped_greenlet(Timeout(5))


def test_without_gevent_no_error_is_of_a_greenlet() -> None:
    assert not is_stopped_greenlet(GreenletExit())
