"""Whatever a function raises is the error of its step, after one call; only what Celery raises to stop it is not."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

import celery.canvas
import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from celery.exceptions import WorkerShutdown, WorkerTerminate

from pollflow import Context, ExecutionNotExists, StoreUnavailable, TaskError, UnreadableRecord
from pollflow.machine import Raised
from pollflow.runtime import shutdown_flag
from tests.calling import call, raised

if sys.version_info < (3, 11):  # the backport, without its package
    BaseExceptionGroup = type(
        "BaseExceptionGroup",
        (BaseException,),
        {"__init__": lambda self, text, members: self.__dict__.update(text=text, exceptions=tuple(members))},
    )
    BaseExceptionGroup.__str__ = lambda self: f"{self.text} ({len(self.exceptions)} sub-exceptions)"
    ExceptionGroup = type("ExceptionGroup", (BaseExceptionGroup, Exception), {})

ALL = ("Exception", "BaseException")


class OwnBase(BaseException):
    """A BaseException of a library."""


class BusyError(TaskError):
    """A subclass, as users define it."""


@pytest.fixture(autouse=True)
def no_stop() -> Iterator[None]:
    shutdown_flag.begin()
    yield
    shutdown_flag.begin()


@pytest.mark.parametrize(
    ("error", "name", "cause", "also"),
    [
        (ConnectionResetError("gone"), "ConnectionResetError", "gone", ("ConnectionError", "OSError", *ALL)),
        (asyncio.CancelledError(), "CancelledError", "", ("BaseException",)),
        (GeneratorExit(), "GeneratorExit", "", ("BaseException",)),
        (KeyboardInterrupt(), "KeyboardInterrupt", "", ("BaseException",)),
        (SystemExit(3), "SystemExit", "3", ("BaseException",)),
        (WorkerShutdown("by the function"), "WorkerShutdown", "by the function", ("SystemExit", "BaseException")),
        (OwnBase("odd"), "OwnBase", "odd", ("BaseException",)),
        (SoftTimeLimitExceeded(), "SoftTimeLimitExceeded", "SoftTimeLimitExceeded()", ALL),
        (StoreUnavailable("away"), "StoreUnavailable", "away", ("PollflowError", "ConnectionError", "OSError", *ALL)),
        (UnreadableRecord("new"), "UnreadableRecord", "new", ("PollflowError", *ALL)),
        (ExecutionNotExists("none"), "ExecutionNotExists", "none", ("PollflowError", "LookupError", *ALL)),
        (KeyError("missing"), "KeyError", "KeyError: 'missing'", ("LookupError", *ALL)),
        (TaskError("Busy", "later"), "Busy", "later", ("TaskError", "StepError", "PollflowError", *ALL)),
        (TaskError("Busy", ValueError("x")), "Busy", "x", ("TaskError", "StepError", "PollflowError", *ALL)),  # type: ignore[arg-type]
        (BusyError("Api.Busy"), "Api.Busy", "", ("BusyError", "TaskError", "StepError", "PollflowError", *ALL)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_an_exception_is_the_error_of_the_step(error: BaseException, name: str, cause: str, also: Any) -> None:
    event = raised(error)
    assert (event.error, event.cause, event.also) == (name, cause, also)


def test_an_async_function_whose_task_was_cancelled_fails_its_step() -> None:
    async def cancels(input: dict[str, Any], context: Context) -> None:
        inner = asyncio.ensure_future(asyncio.sleep(60))
        asyncio.get_running_loop().call_soon(inner.cancel)
        await inner

    event = call(cancels)
    assert isinstance(event, Raised) and event.error == "CancelledError"


def test_an_exit_of_an_async_function_fails_its_step() -> None:
    async def exits(input: dict[str, Any], context: Context) -> None:
        await asyncio.gather(asyncio.to_thread(sys.exit, "no more"))

    event = call(exits)
    assert isinstance(event, Raised) and event.error == "SystemExit"


def test_an_async_function_in_a_running_loop_fails_with_the_reason() -> None:
    async def function(input: dict[str, Any], context: Context) -> dict[str, Any]:
        return {}

    async def in_a_loop() -> Any:
        return call(function)

    event = asyncio.run(in_a_loop())
    assert event.error == "RuntimeError" and "a loop runs in the thread of this call" in event.cause


def test_a_group_names_its_members_and_is_matched_by_them() -> None:
    group = BaseExceptionGroup(
        "two", [OwnBase("a"), ExceptionGroup("inner", [KeyError("b"), TaskError("Api.Busy", "later")])]
    )
    event = raised(group)
    assert event.error == "BaseExceptionGroup"
    assert event.cause.startswith("two (2 sub-exceptions): OwnBase: a; ExceptionGroup: inner")
    assert event.cause.endswith("; KeyError: 'b'; Api.Busy: later")
    assert {"OwnBase", "KeyError", "LookupError", "Api.Busy", "TaskError", "ExceptionGroup"} <= set(event.also)


def test_a_large_group_has_a_bounded_cause_and_bounded_names() -> None:
    event = raised(ExceptionGroup("many", [type(f"E{n}", (Exception,), {})("x" * 10_000) for n in range(1000)]))
    assert len(event.cause) <= 4096 and len(event.also) < 100


class Hostile(BaseException):
    """An exception whose attributes all raise."""

    def __str__(self) -> str:
        raise OwnBase

    __repr__ = __str__

    @property
    def __class__(self) -> Any:
        raise OwnBase

    @property
    def args(self) -> Any:
        raise OwnBase

    __traceback__ = __cause__ = __context__ = __notes__ = exceptions = property(lambda self: 1 / 0)  # type: ignore


class HostileTaskError(TaskError):
    """A TaskError without name and cause."""

    def __init__(self) -> None:
        pass


def test_attributes_that_raise_do_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    event = raised(Hostile())
    assert (event.error, event.cause) == ("Hostile", "the error has no text")
    assert event.traceback and "the function failed" in caplog.text
    event = raised(HostileTaskError())
    assert (event.error, event.cause) == ("HostileTaskError", "the error has no text")


def test_a_class_that_is_called_like_a_group_is_none() -> None:
    odd = type("BaseExceptionGroup", (Exception,), {"exceptions": property(lambda self: 1 / 0)})("odd")
    assert raised(odd).cause == "odd"


def test_long_names_and_causes_are_bounded() -> None:
    event = raised(type("E" * 10_000, (Exception,), {})("c" * 10_000))
    assert (len(event.error), len(event.cause)) == (128, 4096)


def outer(input: dict[str, Any], context: Context) -> None:
    inner(input["a"])


def inner(depth: int) -> None:
    if depth == 0:
        raise KeyError("missing")
    inner(depth - 1)


def test_the_log_shows_the_frames_of_the_function_only(caplog: pytest.LogCaptureFixture) -> None:
    call(outer, payload={"a": 0})
    files = re.findall(r'File "(.+)", line', caplog.text)
    assert files and set(files) == {__file__}


def test_the_last_frames_of_the_traceback_are_kept_without_values() -> None:
    event = call(outer, payload={"a": 0})
    assert isinstance(event, Raised)
    here = "tests/unit/runtime/test_errors_of_functions.py"
    lines = (outer.__code__.co_firstlineno + 1, inner.__code__.co_firstlineno + 2)
    assert event.traceback == (f"{here}:{lines[0]} in outer", f"{here}:{lines[1]} in inner")
    deep = call(outer, payload={"a": 100})
    assert isinstance(deep, Raised) and len(deep.traceback) == 8
    assert all(len(line) <= 200 for line in deep.traceback)


def test_frames_of_installed_packages_are_named_from_their_package() -> None:
    event = call(lambda input, context: celery.canvas.chord("odd", 5, 6, 7, 8, 9))
    assert isinstance(event, Raised) and event.traceback[-1].startswith("celery/canvas.py:")


# What Celery raises to stop the worker or the task


@pytest.mark.parametrize("error", [SystemExit(1), WorkerShutdown(0), WorkerTerminate(1), KeyboardInterrupt()])
def test_an_exit_while_the_worker_stops_is_no_error_of_the_step(error: BaseException) -> None:
    shutdown_flag.set_stopping()
    with pytest.raises(type(error)):
        raised(error)


def test_an_exit_that_led_to_another_exception_ends_the_call_too() -> None:
    def cleans_up(input: dict[str, Any], context: Context) -> None:
        try:
            raise SystemExit(1)
        finally:
            raise ValueError("the connection is closed")

    assert isinstance(call(cleans_up), Raised)
    shutdown_flag.set_stopping()
    with pytest.raises(ValueError, match="closed"):
        call(cleans_up)
    with pytest.raises(BaseExceptionGroup):
        raised(BaseExceptionGroup("both", [ValueError(), SystemExit(1)]))


def test_other_exceptions_are_errors_of_the_step_while_the_worker_stops() -> None:
    shutdown_flag.set_stopping()
    assert raised(OwnBase("odd")).error == "OwnBase"
    assert raised(asyncio.CancelledError()).error == "CancelledError"


def test_a_failure_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        raised(ValueError("odd"))
    (record,) = caplog.records
    assert record.exc_info is not None and record.exc_info[0] is ValueError
