"""The connection that `connect` makes; tests/unit/store/test_urls.py has the reading of URLs."""

from __future__ import annotations

import pytest

from pollflow.store import connect


@pytest.mark.parametrize(
    ("url", "database"),
    [("redis://host", 0), ("redis://host/", 0), ("redis://host/7", 7), ("redis://host//7", 7), ("unix:///a/b?db=3", 3)],
)
def test_a_url_selects_its_database(url: str, database: int) -> None:
    with connect(url) as client:
        assert client.get_connection_kwargs().get("db", 0) == database


def test_the_options_of_a_url_replace_those_of_pollflow() -> None:
    with connect("redis://host?socket_timeout=3&client_name=me") as client:
        options = client.get_connection_kwargs()
        assert (options["socket_timeout"], options["socket_connect_timeout"]) == (3.0, 5)
        assert options["client_name"] == "me"
