"""Text that is printed: escapes, JSON that stays equal, and URLs without passwords."""

from __future__ import annotations

import json
import sys
import time
import unicodedata

import pytest

from pollflow.printable import clean, clean_lines, clean_log, json_text, without_passwords

HIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
INVISIBLE = "\u034f\u115f\u1160\u180b\ufeff\u2800\u3164\uffa0\U000e0041\U000e0100"


def hidden_characters() -> str:
    """Return every control, format and surrogate character and line separator of Unicode, and fillers."""
    found = (char for char in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(char) in HIDDEN_CATEGORIES)
    return " ".join([*found, *INVISIBLE])  # two halves side by side would be one character


def test_every_control_and_invisible_character_is_escaped() -> None:
    shown = clean(hidden_characters().replace("\n", ""))
    assert shown.isascii()
    assert shown.isprintable()


def test_visible_text_is_kept() -> None:
    text = "中文 é 😀 [bold] :smile: \\x1b a\u0301 ❤\ufe0f"
    assert (clean(text), clean_lines(text), clean_log(text)) == (text, text, text)


def test_line_ends_are_kept_only_where_lines_are_made_by_pollflow() -> None:
    assert (clean("a\nb\r"), clean_lines("a\nb\r"), clean_log("a\nb\r")) == ("a b\\x0d", "a\nb\\x0d", "a\n    b\\x0d")


def test_a_joined_emoji_is_shown_by_its_parts() -> None:
    assert clean("👩\u200d🚀") == "👩\\u200d🚀"


@pytest.mark.parametrize("is_ascii", [True, False])
@pytest.mark.parametrize("indent", [None, 2])
def test_json_is_safe_and_decodes_to_the_same_value(indent: int | None, *, is_ascii: bool) -> None:
    value = {hidden_characters(): [hidden_characters(), "中 😀", 1.5, None]}
    text = json_text(value, indent=indent, is_ascii=is_ascii)
    assert json.loads(text) == value
    assert clean_lines(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://:pw@h:1/0", "redis://:***@h:1/0"),
        ("redis://u:p%40%2Fpw@h", "redis://u:***@h"),
        ("redis://:p/a@b@h/0", "redis://:***@h/0"),
        ("redis+socket://:pw@/p?virtual_host=1", "redis+socket://:***@/p?virtual_host=1"),
        ("unix://u:pw@/p?db=1", "unix://u:***@/p?db=1"),
        ("sentinel://:pw@h1:1;sentinel://:pw@h2:2", "sentinel://:***@h2:2"),
        ("redis://:pw@h:1 redis://:pw@i:2", "redis://:***@h:1 redis://:***@i:2"),
        ("'redis://h?password=pw'", "'redis://h?password=***'"),
        ("rediss://h?a=1&ssl_password=it's&b=2", "rediss://h?a=1&ssl_password=***&b=2"),
        ('{"url": "redis://:p\\"w@h"}', '{"url": "redis://:***@h"}'),
        ("https://u:pw@h/x?to=a@b", "https://u:***@h/x?to=a@b"),
        ("back=redis%3A%2F%2Fu%3Apw%40h", "back=redis%3A%2F%2Fu%3A***%40h"),
        ("back=redis%3A//u%3Apw%40h", "back=redis%3A//u%3A***%40h"),
        ("to=a%3Fback%3Dredis%253A%252F%252Fu%253Apw%2540h", "to=a%3Fback%3Dredis%253A%252F%252Fu%253A***%2540h"),
        ("https://u:pw@h/?to=redis://:pw@h", "https://u:***@h/?to=redis://:***@h"),
        ('{"url": "https:\\/\\/u:pw@h"}', '{"url": "https:\\/\\/u:***@h"}'),
        ("https://me@example.com:pw@h/", "https://me@example.com:***@h/"),
        ("amqp://me@example.com:p/w@h//", "amqp://me@example.com:***@h//"),
        ("sqs://ID:p/w@", "sqs://ID:***@"),
        ("db+postgresql://u:p@/w@h/db", "db+postgresql://u:***@h/db"),
        ("rediss://h?ssl%5Fpassword=pw", "rediss://h?ssl%5Fpassword=***"),
        ("Error 111 connecting to redis://:pw@h:1. pw", "Error 111 connecting to redis://:***@h:1. pw"),
    ],
)
def test_passwords_of_urls_are_masked(text: str, shown: str) -> None:
    assert without_passwords(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "redis://h:6379/0",
        "http://h:80/a@b",
        "http://[::1]:80/a",
        "x://user@h:80/",
        "http://h:80/?to=b%40c",
        "a@b.c: d://e",
        '{"a": "redis://h:1/0", "b": "c@d"}',
    ],
)
def test_text_without_passwords_is_kept(text: str) -> None:
    assert without_passwords(text) == text


@pytest.mark.parametrize(
    "part",
    [
        *("redis://:", "http://u:", "http://u:a@", "%3A%2F%2Fu%3A", "?password=", "&a", "://u:%40", "\x9b"),
        *("://u@", ":\\/\\/u:", "%253A%252F%252Fu%253A", "%25252525", "%3A//u%3A%", "?%70assword"),
    ],
)
def test_hostile_text_takes_linear_time(part: str) -> None:
    def seconds(size: int) -> float:
        text = part * (size // len(part))
        begin = time.process_time()
        clean(without_passwords(text))
        return time.process_time() - begin

    seconds(1000)
    assert seconds(400_000) < 40 * max(seconds(40_000), 0.01)
