"""The rules of registration: what can be a function, and when a second one is refused."""

from __future__ import annotations

import functools
import importlib
import operator
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

import pollflow
from pollflow import Context, Functions, InvalidArgument, fc_handler
from pollflow.fdl.model import ServiceResource

MODULE = """
def job(input, context):
    return {"version": VERSION}

class Jobs:
    @staticmethod
    def static(input, context): ...
    @classmethod
    def of_class(cls, input, context): ...
    def of_instance(self, input, context): ...
"""


def module(version: int) -> Any:
    """Return a module as `importlib.reload` makes it: the same names, new objects."""
    found = types.ModuleType("reloaded")
    found.__dict__["VERSION"] = version
    exec(MODULE, found.__dict__)  # noqa: S102  # the code of a module, as an import runs it
    return found


def made(number: int) -> Callable[..., Any]:
    def job(input: dict[str, Any], context: Context) -> dict[str, Any]:
        return {"number": number}

    return job


class Job:
    """A callable object."""

    def __call__(self, input: dict[str, Any], context: Context) -> dict[str, Any]:
        return {}

    def run(self, input: dict[str, Any], context: Context) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (made(1), made(2)),
        (lambda input, context: 1, lambda input, context: 2),
        (module(1).job, made(1)),
        (Job().run, Job().run),
        (Job(), Job()),
        (functools.partial(module(1).job), functools.partial(module(1).job)),
        (fc_handler(made(1)), fc_handler(made(2))),
        (module(1).job, module(1).Jobs.static),
        (module(1).Jobs().of_instance, module(1).Jobs().of_instance),
    ],
)
def test_another_function_under_one_name_is_refused(first: Any, second: Any) -> None:
    functions = Functions()
    functions.register("same", first)
    functions.register("same", first)
    with pytest.raises(InvalidArgument, match=r"two functions are registered as 'same': .* and .*; give each one"):
        functions.register("same", second)
    assert functions.find(ServiceResource("same", takes_params=False)) is first


@pytest.mark.parametrize("get", [lambda m: m.job, lambda m: m.Jobs.static, lambda m: fc_handler(m.job)])
def test_a_module_that_is_reloaded_replaces_its_functions(get: Callable[[Any], Any]) -> None:
    functions = Functions()
    functions.register("same", get(module(1)))
    functions.register("same", new := get(module(2)))
    assert functions.find(ServiceResource("same", takes_params=False)) is new


SOURCE = """
import functools
from pollflow import Functions, fc_handler

functions = Functions()
VERSION = {version}

def base(input, context):
    return {{}}

def wrapped(number):
    @functools.wraps(base)
    def inner(input, context):
        return {{"number": number}}
    return inner

@functions.function
def job(input, context):
    return {{"version": VERSION}}

functions.function("base")(base)
{second}
"""


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Return a function that imports a module with these lines at its end."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def imported(second: str) -> Any:
        (tmp_path / "registering.py").write_text(SOURCE.format(version=1, second=second))
        return importlib.import_module("registering")

    yield imported
    sys.modules.pop("registering", None)


@pytest.mark.parametrize(
    "second",
    [
        "@functions.function\ndef job(input, context): ...",
        "functions.function('base')(wrapped(1))",
        "functions.function('x')(wrapped(1))\nfunctions.function('x')(wrapped(2))",
        "functions.function('base')(fc_handler(base))",
    ],
)
def test_one_import_defines_a_function_once(imported: Callable[[str], Any], second: str) -> None:
    with pytest.raises(InvalidArgument, match="two functions are registered as"):
        imported(second)


def test_the_second_import_of_a_module_replaces_its_functions(
    imported: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    functions = imported("").functions
    monkeypatch.setattr(pollflow, "Functions", lambda: functions)
    for load in (lambda: importlib.reload(sys.modules["registering"]), lambda: import_again("registering")):
        load()
        assert functions.find(ServiceResource("job", takes_params=False)) is sys.modules["registering"].job


def import_again(name: str) -> None:
    del sys.modules[name]
    importlib.import_module(name)


def test_a_method_of_one_instance_is_the_same_function_each_time() -> None:
    functions, job = Functions(), Job()
    functions.register("same", job.run)
    functions.register("same", job.run)


@pytest.mark.parametrize(
    "function",
    [functools.partial(module(1).job), Job(), Job().run, Mock(), functools.partial(operator.getitem), max, made(1)],
)
def test_any_callable_can_be_registered_under_a_name(function: Any) -> None:
    functions = Functions()
    assert functions.function("jobs/a")(function) is function
    assert list(functions) == ["jobs/a"]


@pytest.mark.parametrize("function", [functools.partial(module(1).job), Job(), lambda input, context: {}])
def test_a_callable_without_a_name_of_its_own_needs_one(function: Any) -> None:
    functions = Functions()
    for register in (functions.function, functions.function(), functions.function(None)):
        with pytest.raises(InvalidArgument, match=r'has no name of its own; use pollflow.function\("NAME"\)'):
            register(function)


def positional(a: Any) -> None: ...
def three(self: Any, input: Any, context: Any) -> None: ...
def keyword(input: Any, context: Any, *, extra: Any) -> None: ...
def generator(input: Any, context: Any) -> Any:
    yield 1


async def async_generator(input: Any, context: Any) -> Any:
    yield 1


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (positional, r"positional\(a: 'Any'\) -> 'None' cannot be called with \(input, context\): too many positional"),
        (three, r"cannot be called with \(input, context\): missing a required argument: 'context'"),
        (keyword, r"cannot be called with \(input, context\): missing a required.*argument: 'extra'"),
        (lambda: 1, "cannot be called with"),
        (functools.partial(three, 1, 2), "cannot be called with"),
        (Job, r"test_registration\.Job is a class"),
        (dict, r"builtins\.dict is a class"),
        (generator, "is a generator; it must return a JSON object"),
        (async_generator, "is a generator; it must return a JSON object"),
        (5, "an object of builtins.int cannot be called"),
        (None, "an object of builtins.NoneType cannot be called"),
    ],
)
def test_what_cannot_be_called_is_refused_when_it_is_registered(function: Any, problem: str) -> None:
    functions = Functions()
    for register in (lambda f: functions.register("x", f), functions.function("x")):
        with pytest.raises(InvalidArgument, match=problem):
            register(function)
    assert list(functions) == []


def test_a_decorator_may_add_arguments() -> None:
    @functools.wraps(three)
    def with_session(*args: Any) -> Any:
        return three("session", *args)

    Functions().register("x", with_session)


@pytest.mark.parametrize("name", ["", " ", "a b", "a\n", "a\x00", "x" * 257, 5, b"a", ["a"]])
def test_a_name_that_no_flow_can_use_is_refused(name: Any) -> None:
    functions = Functions()
    with pytest.raises(InvalidArgument, match="name"):
        functions.register(name, made(1))
    with pytest.raises(InvalidArgument, match="name"):
        functions.function(name)


def test_a_name_that_is_too_long_is_shown_by_its_length() -> None:
    refusal = "^the name of a function must be 1 to 256 characters without spaces, not a text of 257 characters$"
    with pytest.raises(InvalidArgument, match=refusal):
        Functions().register("x" * 257, made(1))


@pytest.mark.parametrize("name", ["a", "jobs/状态", "acs:fc:cn:1:services/a/functions/b", "ocr:Read", "x" * 256])
def test_names_of_every_kind_of_resource_are_accepted(name: str) -> None:
    functions = Functions()
    functions.register(name, made(1))
    assert list(functions) == [name]
