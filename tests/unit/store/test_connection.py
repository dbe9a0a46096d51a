"""The URLs that `connect` accepts and refuses."""

from __future__ import annotations

import pytest

from pollflow.errors import InvalidArgument
from pollflow.store import connect


@pytest.mark.parametrize("url", ["redis://host/abc", "rediss://:p@host:1/1a", "redis://host/-1", "redis://host/0/1"])
def test_a_database_that_is_not_a_number_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgument, match="must be a database number; use redis://HOST:PORT/DB"):
        connect(url)


@pytest.mark.parametrize(
    ("url", "database"),
    [("redis://host", 0), ("redis://host/", 0), ("redis://host/7", 7), ("redis://host//7", 7), ("unix:///a/b?db=3", 3)],
)
def test_a_url_selects_its_database(url: str, database: int) -> None:
    with connect(url) as client:
        assert client.get_connection_kwargs().get("db", 0) == database


def test_a_password_without_url_encoding_is_not_shown() -> None:
    with pytest.raises(InvalidArgument) as refused:
        connect("redis://:12/secret@host/0")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"), [("host:6379", "'host:6379'"), ("http://me:secret@host/0", "'http://…@host/0'")]
)
def test_an_invalid_redis_url_is_shown_without_its_password(url: str, shown: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        connect(url)
    assert str(refused.value).startswith(f"{shown} is not a Redis URL")
