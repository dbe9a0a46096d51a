"""Which keys are masked, and what is replaced in data and texts."""

from __future__ import annotations

import json
import logging
from urllib.parse import quote, quote_plus

import pytest

from pollflow.errors import ConfigurationError
from pollflow.machine import FrameState
from pollflow.machine.callback import task_token
from pollflow.machine.state import ExecutionInfo, Level
from pollflow.runtime.logs import HIDE, MAX_TEXT, protect_logs
from pollflow.runtime.masking import DEFAULT_MASK, Hider, Mask
from pollflow.runtime.settings import Settings

SECRET = 'hunter2 "ü'


@pytest.mark.parametrize(
    "key",
    [
        *("password", "Password", "PASSWORD", "user_password", "userPassword", "dbpassword", "passwords"),
        *("token", "access_token", "accessToken", "X-Auth-Token", "tokens", "authtoken", "token_type"),
        *("secret", "client_secret", "clientSecret", "aws_secret_access_key", "SECRET_KEY"),
        *("authorization", "Proxy-Authorization", "api_key", "apiKey", "X-API-Key", "apikey", "API-KEYS", "x.api.key"),
        *("cookie", "Set-Cookie", "cookies", "pass\u200bword"),
    ],
)
def test_the_default_masks_a_key(key: str) -> None:
    assert Mask.of(DEFAULT_MASK).hides((key,))


@pytest.mark.parametrize("key", ["secretary", "tokenizer", "passwordless", "key", "monkey", "author", "name", "", "_"])
def test_the_default_does_not_mask_a_key(key: str) -> None:
    assert not Mask.of(DEFAULT_MASK).hides((key,))


def test_a_path_masks_its_key_wherever_its_object_is() -> None:
    hider = Hider(Mask.of(["$.card.number", '$["a b"][*].c']))
    value = {"card": {"number": 1, "name": "n"}, "number": 2, "all": [{"card": [{"number": "3"}]}], "a b": [[{"c": 4}]]}
    assert hider.value(value) == {
        "card": {"number": "***", "name": "n"},
        "number": 2,
        "all": [{"card": [{"number": "***"}]}],
        "a b": [[{"c": "***"}]],
    }


@pytest.mark.parametrize("entry", ["$", "$.", "$[0]", "", "--", "$.a..b"])
def test_an_entry_that_can_mask_nothing_is_refused(entry: str) -> None:
    with pytest.raises(ConfigurationError, match="pollflow_mask"):
        Settings(mask=(entry,))


@pytest.mark.parametrize("value", ["password", [1], {"a": 1}])
def test_a_setting_that_is_no_list_of_texts_is_refused(value: object) -> None:
    with pytest.raises(ConfigurationError, match="pollflow_mask must be a list of texts"):
        Settings.of({"pollflow_mask": value})


def test_clients_load_the_mask_that_workers_dump() -> None:
    settings = Settings.of({"pollflow_mask": ["pin", "$.card.number"]})
    assert Settings.load(settings.dump()).mask == ("pin", "$.card.number")
    assert Settings.load("{}").mask == DEFAULT_MASK


def test_whole_values_below_a_masked_key_are_masked() -> None:
    value = {"token": {"a": [1, "x"]}, "cookie": None, "secret": False, "b": [{"password": ""}]}
    shown = {"token": "***", "cookie": None, "secret": "***", "b": [{"password": "***"}]}
    assert Hider(Mask.of(DEFAULT_MASK)).value(value) == shown


def test_values_are_replaced_in_texts_in_every_form() -> None:
    hider = Hider(Mask.of(DEFAULT_MASK))
    hider.learn(
        {"password": SECRET, "authorization": "Bearer abcdef123", "pin": "123456", "secret": 987654, "token": "short"}
    )
    urls = (quote(SECRET), quote(SECRET, safe=""), quote_plus(SECRET))
    jsons = (json.dumps(SECRET), json.dumps(SECRET, ensure_ascii=False), json.dumps(json.dumps(SECRET)))
    for form in (SECRET, repr(SECRET), repr(SECRET.encode()), *urls, *jsons):
        assert "hunter2" not in hider.text(f"a {form} b")
    text = hider.text("of abcdef123, 123456, 987654, short")
    assert text == "of ***, 123456, ***, short"
    assert hider.value({"copy": SECRET, "n": 987654, "m": 98, SECRET: 1}) == {
        "copy": "***",
        "n": "***",
        "m": 98,
        "***": 1,
    }


def test_a_short_value_inside_a_longer_one_leaves_no_part_of_it() -> None:
    hider = Hider(Mask.of(DEFAULT_MASK))
    hider.learn({"token": "abcdef", "password": "abcdefgh"})
    assert hider.text("abcdefgh abcdef") == "*** ***"


def test_options_of_urls_are_masked_by_their_names() -> None:
    hider = Hider(Mask.of(DEFAULT_MASK))
    assert hider.text("GET https://u:p@h/?access_token=a&b=c&api_key=d: 401") == (
        "GET https://u:***@h/?access_token=***&b=c&api_key=***: 401".replace("***: 401", "*** 401")
    )


@pytest.mark.parametrize("mask", [Mask.of(DEFAULT_MASK), Mask(), None])
def test_task_tokens_are_never_shown(mask: Mask | None) -> None:
    info = ExecutionInfo("f", "e", "0123456789abcdef", 0.0, "key")
    token = task_token(info, FrameState("r", {}, (Level("steps", 0, {}),)))
    hider = Hider(mask)
    assert hider.value({"url": f"https://h/{token}", token: [token]}) == {"url": "https://h/***", "***": ["***"]}
    assert token[:40] not in hider.text(quote(token, safe="") + " " + token)


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += self.format(record).split("\n")


def logged_lines(message: str, error: str) -> list[str]:
    """Log a message and an exception of a call whose token is abcdef, and return the lines."""
    protect_logs()
    hider = Hider(Mask.of(DEFAULT_MASK))
    hider.learn({"token": "abcdef"})
    handler, logger = _Lines(), logging.getLogger("pollflow.function")
    logger.addHandler(handler)
    try:
        raise ValueError(error)
    except ValueError:
        logger.warning("failed: %s", message, exc_info=True, extra={HIDE: hider.text})
    finally:
        logger.removeHandler(handler)
    return handler.lines


def test_log_lines_cannot_be_imitated_and_show_no_secret() -> None:
    lines = logged_lines("x\n[ERROR] abcdef\x9b", "bad\n[ERROR] abcdef\x1b[2J redis://:pw@h")
    assert lines[:2] == ["failed: x", "    [ERROR] ***\\x9b"]
    assert lines[-2:] == ["    ValueError: bad", "    [ERROR] ***\\x1b[2J redis://:***@h"]
    assert [line for line in lines[1:] if line and not line.startswith("    ")] == [
        "Traceback (most recent call last):"
    ]


def test_long_texts_are_shortened_in_log_lines_after_they_are_masked() -> None:
    text = "\n".join(logged_lines("abcdef" * 1_000_000, "abcdef" * 1_000_000 + " the end"))
    assert 2 * MAX_TEXT < len(text) < 2 * MAX_TEXT + 200
    assert "abcdef" not in text
    assert text.count("characters are left out") == 2
    assert "ValueError: ***" in text
    assert text.endswith(" the end")
