"""Masks secrets where data is printed or logged: the values of keys such as `password`, and task tokens of callbacks.

What is stored is never changed, and the Python client returns it as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import accumulate
from typing import Any
from urllib.parse import quote, quote_plus

from pollflow.errors import ConfigurationError
from pollflow.fdl.expr import ExpressionSyntaxError, compile_path
from pollflow.machine import FrameState
from pollflow.printable import MASK, clean, without_passwords

DEFAULT_MASK = ("password", "token", "secret", "authorization", "api_key", "cookie")
MIN_SECRET = 6
"""The fewest characters of a value that is replaced in texts. Shorter ones occur in other words."""

_WORD_ENDS = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_TASK_TOKEN = re.compile(r"dj[AEIMQUYcgk]j[A-Za-z0-9_-]{56,}(?:={1,2}|(?:%3D){1,2})?")
"""A task token: Base64 of `v`, a digit and `#`, and of the names and the signature behind it."""
_QUERY = re.compile(r"([?&;]([^\s=&?;\"']{1,100})=)([^\s&\"'#]+)")


@dataclass(frozen=True, slots=True)
class Mask:
    """Which values are masked: those of keys with certain names, and those at the end of certain paths.

    A key is cut into words at capitals and at characters other than letters and digits. A name matches if a word, or
    several words joined, ends with it: `token` matches `access_token`, `authToken` and `tokens`, not `tokenizer`.
    A path such as `$.card.number` matches the key `number` in every `card`, however deep, in lists too.
    """

    names: tuple[str, ...] = ()
    paths: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, entries: Iterable[str]) -> Mask:
        """Return the mask of a list of names and paths. Raises ConfigurationError for one that matches nothing."""
        entries = tuple(entries)
        names = tuple(_joined(entry) for entry in entries if not entry.startswith("$"))
        if not all(names):
            raise ConfigurationError("pollflow_mask: a name must contain letters or digits")
        return cls(names, tuple(_keys_of(entry) for entry in entries if entry.startswith("$")))

    def finds(self, text: str) -> bool:
        """Return whether JSON text has a masked value or a URL with a password, or is no JSON text."""
        try:
            return without_passwords(text) != text or any(True for _ in _secrets_in(self, json.loads(text), ()))
        except (ValueError, RecursionError):
            return True

    def hides(self, keys: tuple[str, ...]) -> bool:
        """Return whether the value below these keys is masked; the keys are those of the enclosing objects."""
        if _is_named(self.names, keys[-1]):
            return True
        return any(keys[-len(path) :] == path for path in self.paths)


class Hider:
    """Masks what is printed or logged of one execution or call.

    `learn` collects the values of masked keys; `text` replaces those of six characters or more in any text. Without a
    mask only task tokens and passwords of URLs are hidden, which are never printed.
    """

    def __init__(self, mask: Mask | None) -> None:
        self._mask = mask
        self._forms: dict[str, None] = {}

    def learn(self, *values: Any) -> None:
        """Collect the masked values in data."""
        if self._mask is None:
            return
        found = [form for value in values for form in _secrets_in(self._mask, value, ())]
        if any(form not in self._forms for form in found):
            # The longest first, so that no part of a secret is left.
            self._forms = dict.fromkeys(sorted({*self._forms, *found}, key=len, reverse=True))

    def value(self, value: Any) -> Any:
        """Return data with `***` in place of masked values."""
        return self._value(value, ())

    def text(self, text: str) -> str:
        """Return a text with `***` in place of masked values, of the passwords of URLs, and of task tokens."""
        text = without_passwords(_TASK_TOKEN.sub(MASK, text))
        if self._mask is None:
            return text
        text = _QUERY.sub(self._query, text)
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        return text

    def _value(self, value: Any, keys: tuple[str, ...]) -> Any:
        if keys and self._mask is not None and self._mask.hides(keys) and value is not None:
            return MASK
        if isinstance(value, dict):
            return {self.text(key): self._value(inner, (*keys, key)) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(inner, keys) for inner in value]
        return self._leaf(value)

    def _leaf(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        return MASK if self._forms and _is_number(value) and str(value) in self._forms else value

    def _query(self, found: re.Match[str]) -> str:
        is_hidden = self._mask is not None and self._mask.hides((found[2],))
        return f"{found[1]}{MASK}" if is_hidden else found[0]


def hider_of(mask: Mask, state: FrameState, *values: Any) -> Callable[[str], str]:
    """Return what masks texts about a step by its data. The data is searched at the first text."""

    @cache
    def hider() -> Hider:
        found = Hider(mask)
        found.learn(state.input, *(level.local for level in state.levels), *values)
        return found

    return lambda text: hider().text(text)


def _secrets_in(mask: Mask, value: Any, keys: tuple[str, ...], is_hidden: bool = False) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            path = (*keys, key)
            yield from _secrets_in(mask, inner, path, is_hidden or mask.hides(path))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets_in(mask, inner, keys, is_hidden)
    elif is_hidden and (isinstance(value, str) or _is_number(value)):
        text = str(value)
        yield from (form for part in {text, text.strip().rpartition(" ")[2]} for form in _forms_of(part))


def _forms_of(secret: str) -> set[str]:
    """Return a secret as it may stand in JSON, also within JSON, in Python, in a URL and in a line of a log."""
    if len(secret) < MIN_SECRET:
        return set()
    jsons = {json.dumps(secret, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False)}
    jsons |= {json.dumps(text, ensure_ascii=False)[1:-1] for text in jsons}
    data = secret.encode(errors="replace")
    urls = {quote(data), quote(data, safe=""), quote_plus(data)}
    return {secret, repr(secret)[1:-1], repr(data)[2:-1], clean(secret), *urls, *jsons}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _keys_of(path: str) -> tuple[str, ...]:
    try:
        compiled = compile_path(path)
    except ExpressionSyntaxError as error:
        raise ConfigurationError(f"pollflow_mask: {path!r} is not a path: {error}") from error
    keys = tuple(part for part in compiled.parts if isinstance(part, str))
    if not keys:
        raise ConfigurationError(f"pollflow_mask: the path {path!r} names no key")
    return keys


def _joined(name: str) -> str:
    return "".join(_WORD_ENDS.split(name)).casefold()


@lru_cache(4096)
def _is_named(names: tuple[str, ...], key: str) -> bool:
    words = [word.casefold() for word in _WORD_ENDS.split(key)]
    joined, ends = "".join(words), set(accumulate(map(len, words)))
    for name in names:
        start = joined.find(name)
        while start >= 0:
            end = start + len(name)
            if end in ends or (joined[end : end + 1] == "s" and end + 1 in ends):
                return True
            start = joined.find(name, start + 1)
    return False
