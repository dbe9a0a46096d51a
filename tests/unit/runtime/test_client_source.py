"""Which Redis a client uses: that of an app, of a URL, or of the environment."""

from __future__ import annotations

import pytest
from celery import Celery

import pollflow
from pollflow.client.source import find_source
from pollflow.runtime import attached
from pollflow.store import RedisLocation

URL = "redis://127.0.0.1:1/0"
OTHER = "redis://127.0.0.1:1/9"


@pytest.fixture(autouse=True)
def no_attached_apps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLLFLOW_REDIS_URL", raising=False)
    monkeypatch.setattr(attached, "_attached", {})


def app(url: str = URL, **conf: object) -> Celery:
    made = Celery("app", broker=url)
    made.conf.update(conf)
    pollflow.attach(made)
    return made


def test_a_client_of_an_app_has_its_redis_key_prefix_and_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLLFLOW_REDIS_URL", OTHER)
    source = app(pollflow_redis_url=URL, pollflow_key_prefix="shop")
    found, of = find_source(source, None)
    assert of is not None
    assert (str(found), of.settings.key_prefix) == (URL, "shop")


def test_a_bare_client_uses_the_only_attached_app() -> None:
    source = app()
    assert find_source(None, None) == (RedisLocation.parse(URL), attached.attached_to(source))


def test_a_bare_client_uses_the_environment_if_the_app_is_not_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLLFLOW_REDIS_URL", OTHER)
    assert find_source(None, None) == (RedisLocation.parse(OTHER), None)
    monkeypatch.delenv("POLLFLOW_REDIS_URL")
    app(), app(OTHER)
    monkeypatch.setenv("POLLFLOW_REDIS_URL", OTHER)
    assert find_source(None, None) == (RedisLocation.parse(OTHER), None)


def test_a_url_is_used_whatever_app_is_attached() -> None:
    app()
    assert find_source(OTHER, "shop") == (RedisLocation.parse(OTHER), None)


def test_the_current_app_of_celery_is_accepted() -> None:
    from celery import current_app

    source = app()
    source.set_current()
    assert find_source(current_app, None) == (RedisLocation.parse(URL), attached.attached_to(source))


@pytest.mark.parametrize("source", [Celery("plain"), 5, object()])
def test_anything_but_an_attached_app_is_refused_with_the_remedy(source: object) -> None:
    with pytest.raises(pollflow.InvalidArgument, match=r"call pollflow.attach\(app\)"):
        pollflow.Client(source)  # type: ignore[arg-type]


def test_a_client_without_any_redis_says_what_to_do() -> None:
    with pytest.raises(pollflow.InvalidArgument, match="no app of this process is attached, and POLLFLOW_REDIS_URL"):
        pollflow.Client()
    app(), app(OTHER)
    with pytest.raises(pollflow.InvalidArgument, match="2 apps of this process are attached"):
        pollflow.Client()


def test_a_key_prefix_that_contradicts_the_app_is_refused() -> None:
    with pytest.raises(pollflow.InvalidArgument, match="key_prefix is 'other', but that of the app is 'pollflow'"):
        pollflow.Client(app(), key_prefix="other")
