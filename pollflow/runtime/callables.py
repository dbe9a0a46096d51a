"""What may be registered as a function, and when two objects are the same function."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import Any

from pollflow.errors import InvalidArgument
from pollflow.runtime.arguments import shown

_MAX_NAME = 256


@dataclass(frozen=True, slots=True)
class Registered:
    """A function, and the import of its module during which it was registered."""

    function: Callable[..., Any]
    module_import: object

    @classmethod
    def now(cls, function: Callable[..., Any]) -> Registered:
        """Return a function that is registered now."""
        # Each import makes another spec, also that of `importlib.reload`. A notebook or a script has none.
        name = getattr(function, "__module__", None)
        module = sys.modules.get(name) if isinstance(name, str) else None
        return cls(function, getattr(module, "__spec__", None))


def check_name(name: object) -> str:
    """Return the name of a function if it is valid. Raises InvalidArgument."""
    if not isinstance(name, str):
        raise InvalidArgument(f"the name of a function must be a text, not {type(name).__name__}")
    if not 0 < len(name) <= _MAX_NAME or any(char.isspace() or not char.isprintable() for char in name):
        raise InvalidArgument(
            f"the name of a function must be 1 to {_MAX_NAME} characters without spaces, not {shown(name)}"
        )
    return name


def own_name(function: Callable[..., Any]) -> str:
    """Return the name of a function that is registered without one. Raises InvalidArgument."""
    name = getattr(function, "__name__", None)
    if _is_class(function) or not isinstance(name, str) or name == "<lambda>":
        raise InvalidArgument(f'{describe(function)} has no name of its own; use pollflow.function("NAME")')
    return name


def check_callable(name: str, function: object) -> None:
    """Raise InvalidArgument if the object cannot be called with an input and a context, or returns no JSON."""
    if _is_class(function):
        raise InvalidArgument(f"function {name!r}: {describe(function)} is a class; register a function or a method")
    if not callable(function):
        raise InvalidArgument(f"function {name!r}: {describe(function)} cannot be called")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidArgument(f"function {name!r}: {describe(function)} is a generator; it must return a JSON object")
    try:
        # A decorator may add arguments, so the signature of the wrapped function does not matter.
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return  # some functions in C have no signature
    try:
        signature.bind({}, None)
    except TypeError as error:
        raise InvalidArgument(
            f"function {name!r}: {describe(function)}{signature} cannot be called with (input, context): {error}"
        ) from error


def is_same(known: Registered, new: Registered) -> bool:
    """Return whether they are the same function: one object, or one definition of a module that was reloaded."""
    first, second = known.function, new.function
    if first is second:
        return True
    if isinstance(first, MethodType) and isinstance(second, MethodType):
        return first.__func__ is second.__func__ and first.__self__ is second.__self__
    if known.module_import is not None and known.module_import is new.module_import:
        return False  # one import has made both
    return _definition(first) is not None and _definition(first) == _definition(second)


def describe(function: object) -> str:
    """Return an object as messages name it: by module and qualified name, or by its class."""
    name, module = getattr(function, "__qualname__", None), getattr(function, "__module__", None)
    if isinstance(name, str) and isinstance(module, str):
        return f"{module}.{name}"
    return f"an object of {type(function).__module__}.{type(function).__qualname__}"


def _definition(function: Callable[..., Any]) -> tuple[str, str] | None:
    """Return module and qualified name of a function at the top of its module or class; None for any other object."""
    name, module = getattr(function, "__qualname__", None), getattr(function, "__module__", None)
    if isinstance(function, MethodType) or not isinstance(name, str) or not isinstance(module, str):
        return None
    # Each call of the function around it makes another object with the same name.
    return None if "<" in name else (module, name)


def _is_class(function: object) -> bool:
    return issubclass(type(function), type)
